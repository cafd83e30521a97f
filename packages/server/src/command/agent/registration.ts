/** Commands that register an agent or change its registration. A registration is always validated as a whole. */
import type { JsonObject } from "@countersign/protocol";
import { type Config, toRegistrationPolicy } from "../../config/config.ts";
import { namePattern } from "../../config/field.ts";
import { createSecretSeal } from "../../crypto/seal.ts";
import { hashSecret, newSecret, type Seal } from "../../crypto/secret.ts";
import type { Agent } from "../../domain/client/client.ts";
import { toClientMetadata } from "../../domain/client/metadata.ts";
import {
  type ClientAuthMethod,
  type Registration,
  readRegistration,
} from "../../domain/client/registration.ts";
import { toTypeMetadata } from "../../domain/client/type-metadata.ts";
import type { Store, Versioned } from "../../store/store.ts";
import { addAgent, createCredential } from "../../usecase/client/client-lifecycle.ts";
import { type AgentUpdateResult, updateAgent } from "../../usecase/client/update-agent.ts";
import type { Arguments, Command, Terminal } from "../cli/command.ts";
import { readRootKey, resolveConfigFile, withStore } from "../cli/deployment.ts";
import { OperatorError } from "../cli/operator-error.ts";
import { agentOptions, parseName, toMetadata, toOperatorError } from "./option.ts";

const shownOnce = "The secret is printed only once; the server keeps only its hash.";
const shownOnceSealed = "The secret is printed only once; the server keeps it encrypted.";

export const registrationCommands: readonly Command[] = [
  {
    name: "agent add",
    args: "<id>",
    summary: "register an agent; prints its secret, if it has one, once",
    options: agentOptions,
    run: (args, terminal) => withStore(args, (store, config) => add(args, terminal, store, config)),
  },
  {
    name: "agent change",
    args: "<id>",
    summary: "change an agent's registration; options that are not given keep their value",
    options: {
      ...agentOptions,
      name: { ...agentOptions.name!, summary: "the name that approvers see on every card" },
    },
    run: (args, terminal) => withStore(args, (store, config) => change(args, terminal, store, config)),
  },
  {
    name: "agent secret",
    args: "<id>",
    summary: "rotate the client secret (printed once); the old one stops working at once",
    run: (args, terminal) => withStore(args, (store, config) => renewSecret(args, terminal, store, config)),
  },
  {
    name: "agent hash-secret",
    summary: "print the secret_sha256 for agents: in the configuration; reads the secret from standard input",
    options: { new: { type: "boolean", summary: "generate a secret and print it with its hash" } },
    run: async (args, { stdout }) => {
      const secret = args.flag("new") ? newSecret() : (await readInput()).replace(/\r?\n$/, "");
      // 256 random bits cannot be guessed, so the hash needs no salt. A chosen password could be guessed from its hash.
      if (secret.length < 32)
        throw new OperatorError(
          "the secret has fewer than 32 characters and could be guessed from its hash",
          "Generate one: countersign agent hash-secret --new",
        );
      if (args.flag("new")) stdout(`client_secret=${secret}`);
      // Quoted, because YAML reads some hexadecimal texts as numbers.
      stdout(`secret_sha256: "${Buffer.from(hashSecret(secret), "base64url").toString("hex")}"`);
    },
  },
];

async function add(args: Arguments, { stdout }: Terminal, store: Store, config: Config): Promise<void> {
  const [id = ""] = args.positionals;
  if (!namePattern.test(id))
    throw new OperatorError(
      `"${id}" is not a valid id`,
      "Use up to 64 letters, digits, dots, hyphens and underscores.",
    );
  if (config.agents.has(id))
    throw new OperatorError(
      `the agent ${id} is declared in ${resolveConfigFile(args)}`,
      "The server registers it when it starts or reloads. Choose another id for a second agent.",
    );
  if (args.optionList("type").length === 0)
    throw new OperatorError(
      "missing --type: an agent without action types cannot request anything",
      `Declared action types: ${[...config.actions.keys()].join(", ")}`,
    );
  const { authMethod, ...registration } = parseRegistration(toMetadata(args, config) as JsonObject, config);
  const name = parseName(args.option("name") ?? id);
  const credential = createCredential(authMethod, createSealer(config));
  const result = await addAgent(store, { id, name, ...registration, credential });
  if ("refused" in result)
    throw new OperatorError(
      `agent ${id} already exists`,
      `Change it with countersign agent change ${id}, or remove it with countersign agent remove ${id}`,
    );
  stdout(`agent ${id} can request ${registration.types.join(", ")}\nclient_id=${id}`);
  printSecret(result.secret, authMethod.method, stdout);
}

async function change(args: Arguments, { stdout }: Terminal, store: Store, config: Config): Promise<void> {
  const [id = ""] = args.positionals;
  const metadata = toMetadata(args, config);
  const newName = args.option("name");
  if (Object.keys(metadata).length === 0 && newName === undefined)
    throw new OperatorError("no changes given", "List the options: countersign agent change --help");
  const name = newName === undefined ? undefined : parseName(newName);
  const { changed, method } = await changeWithRetry(store, id, args, (found) => {
    const before = {
      ...toClientMetadata(found.record),
      ...toTypeMetadata(found.record.types, config.actions),
    };
    const merged = Object.entries({ ...before, ...metadata }).filter(([, value]) => value !== undefined);
    const { authMethod, ...next } = parseRegistration(Object.fromEntries(merged) as JsonObject, config);
    return {
      ...next,
      name: name ?? found.record.name,
      credential: createCredential(authMethod, createSealer(config)),
    };
  });
  if (changed.members.length === 0) stdout(`agent ${id} already has this registration`);
  else stdout(`changed agent ${id}: ${changed.members.join(", ")}`);
  printSecret(changed.secret, method, stdout);
}

async function renewSecret(
  args: Arguments,
  { stdout }: Terminal,
  store: Store,
  config: Config,
): Promise<void> {
  const [id = ""] = args.positionals;
  const { changed, method } = await changeWithRetry(
    store,
    id,
    args,
    ({ record }) => {
      const { method } = record.credential;
      if (!method.startsWith("client_secret_"))
        throw new OperatorError(
          `agent ${id} has no secret: it authenticates with ${method}`,
          `Change its keys or its authentication method with countersign agent change ${id}`,
        );
      return {
        ...record,
        credential: createCredential({ method } as ClientAuthMethod, createSealer(config)),
      };
    },
    true,
  );
  stdout(`client_id=${id}`);
  printSecret(changed.secret, method, stdout);
}

type AgentUpdate = Parameters<typeof updateAgent>[2];

/** Changes an agent that the configuration does not declare. Retries if it changed meanwhile. */
async function changeWithRetry(
  store: Store,
  id: string,
  args: Arguments,
  buildUpdate: (found: Versioned<"agent">) => AgentUpdate,
  renew = false,
): Promise<{ readonly changed: AgentUpdateResult; readonly method: string }> {
  for (;;) {
    const found = await store.read("agent", id);
    if (!found) throw new OperatorError(`there is no agent ${id}`, "countersign agent list shows them.");
    assertNotDeclared(found.record, args);
    const next = buildUpdate(found);
    const changed = await updateAgent(store, found, next, { by: "command", renew });
    if (changed !== "conflict") return { changed, method: next.credential.method };
  }
}

/** Throws if the agent is declared in the configuration: only the configuration can change it. */
export function assertNotDeclared({ id, source }: Agent, args: Arguments): void {
  if (source === "configuration")
    throw new OperatorError(
      `the agent ${id} is declared in ${resolveConfigFile(args)}`,
      "Change it there, under agents, and run countersign reload.",
    );
}

function parseRegistration(metadata: JsonObject, config: Config): Registration {
  const result = readRegistration(metadata, toRegistrationPolicy(config));
  if ("problems" in result) throw toOperatorError(result.problems);
  return result;
}

/** Returns a function that reads the root key when it is called, so that it is read only if needed. */
function createSealer(config: Config): Seal["seal"] {
  return (secret) => createSecretSeal(readRootKey(config)).seal(secret);
}

function printSecret(secret: string | undefined, method: string, stdout: Terminal["stdout"]): void {
  if (secret === undefined) return;
  stdout(`client_secret=${secret}\n${method === "client_secret_jwt" ? shownOnceSealed : shownOnce}`);
}

async function readInput(): Promise<string> {
  process.stdin.setEncoding("utf8");
  let text = "";
  for await (const chunk of process.stdin) text += chunk;
  return text;
}
