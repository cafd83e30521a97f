/** Reads the declared agents: client metadata with the keys of the file, and secrets only as hashes. */
import { readFileSync } from "node:fs";
import { inspectText, type Json, type JsonObject, parseJson } from "@countersign/protocol";
import { z } from "zod";
import type { ActionPolicy } from "../../domain/action/action-type.ts";
import type { Agent, Credential } from "../../domain/client/client.ts";
import {
  type ClientAuthMethod,
  type RegistrationPolicy,
  readRegistration,
  registrationMembers,
} from "../../domain/client/registration.ts";
import { toTypeMetadata } from "../../domain/client/type-metadata.ts";
import type { Path } from "../document.ts";
import { defineObject, defineText, file, name } from "../field.ts";
import { freezeMap } from "../freeze.ts";
import { type AddProblem, validate } from "../problem.ts";
import { definePolicy, type SectionContext } from "../section.ts";
import { actionsSection } from "./actions.ts";
import { listenSection, listOfferedAuthMethods } from "./listen.ts";
import { outboundSection } from "./outbound.ts";

export type DeclaredAgent = Omit<
  Agent,
  "id" | "credential" | "paused" | "createdAt" | "source" | "registration"
> & { readonly credential: DeclaredCredential };
/** `client_secret_jwt` is excluded: an HMAC needs the secret, and only its hash is declared. */
type DeclaredCredential = Exclude<Credential, { readonly method: "client_secret_jwt" }>;

/** An agent: client metadata with the names of the specifications, and keys that only an operator may set. */
const agentSchema = defineObject({
  name: z.string().optional(),
  types: z.array(z.string()).min(1, "the agent has no action types\nname at least one"),
  secret_sha256: defineText(
    /^[0-9a-f]{64}$/,
    "the SHA-256 of a secret",
    "countersign agent hash-secret --new makes a secret and prints it",
  ).optional(),
  jwks_file: file.optional(),
  // Parsed in `domain/client/registration.ts`, as for every registration.
  ...Object.fromEntries(registrationMembers.map((member) => [member, z.unknown().optional()] as const)),
});

export const agentsSection = definePolicy({
  // Agents can also be added with `countersign agent add`, or register themselves.
  shape: { agents: z.record(name, z.unknown()).default({}) },
  read(
    { agents },
    context,
  ): {
    /** By id. Reconciled into the store at the start; not changed by commands or registration. */
    readonly agents: ReadonlyMap<string, DeclaredAgent>;
  } {
    return { agents: freezeMap(readAgents(agents, context)) };
  },
  sample:
    () => `# Agents can be declared here, for operators who keep them under version control: client metadata with its standard names,
# and the hash of a secret, which countersign agent hash-secret --new creates. Only this file can change them.
# agents:
#   refund-agent:
#     name: Refund desk
#     types: [refund]
#     secret_sha256: "0000000000000000000000000000000000000000000000000000000000000000"
`,
});

/** Reads each agent separately. Returns none if the sections that agents refer to do not have the right form. */
function readAgents(
  agents: { readonly [id: string]: unknown },
  { use, addProblem, resolvePath }: SectionContext,
): [string, DeclaredAgent][] {
  const [declared, outbound, listen] = [use(actionsSection), use(outboundSection), use(listenSection)];
  if (!declared || !outbound || !listen) return [];
  const types = declared.settings.actions;
  const policy: RegistrationPolicy = {
    types,
    outbound: outbound.settings.outbound,
    methods: listOfferedAuthMethods(listen.settings.mtls),
  };
  // A problem of an action is reported there, not again for each of its agents.
  const invalidTypes = Object.keys({ ...declared.values.actions, ...declared.values.scopes }).filter(
    (type) => !types.has(type),
  );
  const declaredAgents: [string, DeclaredAgent][] = [];
  for (const [id, value] of Object.entries(agents)) {
    const path = ["agents", id];
    const section = validate(agentSchema, value, path, addProblem);
    if (!section) continue;
    const knownTypes = section.types.filter((type) => !invalidTypes.includes(type));
    const metadata =
      knownTypes.length > 0 && readMetadata(section, knownTypes, types, { path, resolvePath, addProblem });
    if (!metadata) continue;
    const result = readRegistration(metadata, policy);
    if ("problems" in result)
      for (const { member, message, remedy } of result.problems)
        addProblem({ path: [...path, toConfigKey(member, section)], message, remedy });
    const credential =
      "authMethod" in result && readCredential(result.authMethod, section.secret_sha256, path, addProblem);
    if (!credential) continue;
    const { authMethod: _, ...registration } = result;
    declaredAgents.push([
      id,
      { name: checkName(section.name ?? id, path, addProblem), ...registration, credential },
    ]);
  }
  return declaredAgents;
}

type AgentSection = { readonly types: readonly string[]; readonly jwks_file?: string | undefined } & Readonly<
  Record<string, unknown>
>;

function readMetadata(
  section: AgentSection,
  knownTypes: readonly string[],
  types: ReadonlyMap<string, ActionPolicy>,
  {
    path,
    resolvePath,
    addProblem,
  }: { readonly path: Path } & Pick<SectionContext, "resolvePath" | "addProblem">,
): JsonObject | undefined {
  const presentMembers = registrationMembers.filter((member) => section[member] !== undefined);
  // Reject YAML values that JSON cannot express.
  const parsed = parseJson(
    JSON.stringify(Object.fromEntries(presentMembers.map((member) => [member, section[member]]))),
  );
  if ("refused" in parsed) {
    addProblem({
      path,
      message: `the value cannot be expressed in JSON (${parsed.path})`,
      remedy: "write integers, or strings",
    });
    return undefined;
  }
  const metadata: { [member: string]: Json } = {
    ...(parsed.value as JsonObject),
    ...toTypeMetadata(knownTypes, types),
  };
  if (section.jwks_file === undefined) return metadata;
  const at = [...path, "jwks_file"];
  if (metadata.jwks !== undefined) {
    addProblem({ path: at, message: "jwks and jwks_file exclude each other", remedy: "remove one" });
    return undefined;
  }
  try {
    const jwks = parseJson(readFileSync(resolvePath(section.jwks_file), "utf8"));
    if ("value" in jwks) return { ...metadata, jwks: jwks.value };
    addProblem({ path: at, message: "the file cannot be read as JSON", remedy: "put a JWK Set into it" });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const message = code === "ENOENT" ? "the file does not exist" : `the file cannot be read (${code})`;
    addProblem({ path: at, message, remedy: "name the file with the agent's public keys" });
  }
  return undefined;
}

/** Returns the configuration key that a metadata member comes from. */
function toConfigKey(member: string, section: AgentSection): string {
  if (member === "authorization_details_types" || member === "scope") return "types";
  return member === "jwks" && section.jwks_file !== undefined ? "jwks_file" : member;
}

function readCredential(
  proof: ClientAuthMethod,
  hash: string | undefined,
  path: Path,
  addProblem: AddProblem,
): DeclaredCredential | undefined {
  const { method } = proof;
  const needsHash = method === "client_secret_basic" || method === "client_secret_post";
  if (method === "client_secret_jwt")
    addProblem({
      path: [...path, "token_endpoint_auth_method"],
      message: "client_secret_jwt needs the secret itself, which must not be in this file",
      remedy: "use private_key_jwt, or add this agent with countersign agent add",
    });
  else if (needsHash && hash === undefined)
    addProblem({
      path,
      message: `${method} needs the hash of a secret`,
      remedy: "give secret_sha256, as countersign agent hash-secret --new prints it",
    });
  else if (!needsHash && hash !== undefined)
    addProblem({
      path: [...path, "secret_sha256"],
      message: `${method} has no secret`,
      remedy: "leave it out",
    });
  else if (needsHash && hash !== undefined)
    return { method, secretHash: Buffer.from(hash, "hex").toString("base64url") };
  else return proof as DeclaredCredential;
  return undefined;
}

function checkName(name: string, path: Path, addProblem: AddProblem): string {
  if (inspectText(name, { maxCodePoints: 60 }) !== undefined)
    addProblem({
      path: [...path, "name"],
      message: "the name contains characters that cannot be displayed, or is too long",
      remedy: "use up to 60 visible characters: approvers read it on every card",
    });
  return name;
}
