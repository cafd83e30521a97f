import { readFileSync } from "node:fs";
import { inspectText, type JsonObject } from "@countersign/protocol";
import { nameForm } from "../config/shape.ts";
import { addAgent, pauseAgent, remove } from "../operations/admit.ts";
import type { Command } from "./command.ts";
import { withStore } from "./deployment.ts";
import { OperatorError } from "./operator-error.ts";
import { table } from "./table.ts";

const methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"] as const;

const add: Command = {
  name: "agent add",
  takes: "<id>",
  says: "let an agent in; prints its secret once",
  options: {
    name: { type: "string", value: "NAME", says: "what approvers see (default: the id)" },
    type: {
      type: "string",
      multiple: true,
      value: "TYPE",
      says: "an action type or action scope it may ask for; repeat for more",
    },
    auth: { type: "string", value: "METHOD", says: `${methods.join(", ")} (default: client_secret_basic)` },
    jwks: { type: "string", value: "FILE", says: "its public keys (a JWK Set), for private_key_jwt" },
  },
  run: (given, { print }) =>
    withStore(given, async (store, config) => {
      const [id = ""] = given.words;
      if (!nameForm.test(id))
        throw new OperatorError(
          `"${id}" is no id for an agent`,
          "Use up to 64 letters, digits, dots, hyphens and underscores.",
        );
      const types = given.many("type");
      if (types.length === 0)
        throw new OperatorError(
          "an agent without action types could ask for nothing",
          `Give --type; declared are: ${[...config.actions.keys()].join(", ")}`,
        );
      const unknown = types.find((type) => !config.actions.has(type));
      if (unknown !== undefined)
        throw new OperatorError(
          `the action type "${unknown}" is not declared`,
          `Declared are: ${[...config.actions.keys()].join(", ")}`,
        );
      const method = (given.one("auth") ?? "client_secret_basic") as (typeof methods)[number];
      if (!methods.includes(method))
        throw new OperatorError(
          `"${method}" is no authentication method`,
          `Use one of ${methods.join(", ")}.`,
        );
      const keys = method === "private_key_jwt" ? readKeys(given.one("jwks")) : undefined;
      const name = given.one("name") ?? id;
      if (inspectText(name, { maxCodePoints: 60 }) !== undefined)
        throw new OperatorError(
          "that name cannot be shown as it is",
          "Use up to 60 visible characters: approvers read it on every card.",
        );
      const answer = await addAgent(store, {
        id,
        name,
        types,
        credential: { method },
        ...(keys && { keys: { from: "registration" as const, jwks: keys } }),
      });
      if ("refused" in answer)
        throw new OperatorError(
          `there is an agent ${id} already`,
          `countersign agent remove ${id} takes it away first.`,
        );
      print(`agent ${id} may ask for ${types.join(", ")}\nclient_id=${id}`);
      if (answer.secret)
        print(`client_secret=${answer.secret}\nThe secret is shown this once; only its hash is kept.`);
    }),
};

function readKeys(file: string | undefined): JsonObject[] {
  if (file === undefined)
    throw new OperatorError("private_key_jwt needs the agent's public keys", "Give --jwks FILE, a JWK Set.");
  let keys: unknown;
  try {
    keys = JSON.parse(readFileSync(file, "utf8")).keys;
  } catch {
    throw new OperatorError(
      `${file} cannot be read as JSON`,
      'A JWK Set looks like {"keys":[{"kty":"EC",...}]}.',
    );
  }
  if (!Array.isArray(keys) || keys.length === 0)
    throw new OperatorError(`${file} holds no keys`, 'A JWK Set looks like {"keys":[{"kty":"EC",...}]}.');
  if (keys.some((key) => "d" in key || key.kty === "oct"))
    throw new OperatorError(
      `${file} holds a private or symmetric key`,
      "Only public keys belong here; keep the private one with the agent.",
    );
  return keys;
}

const list: Command = {
  name: "agent list",
  says: "the agents, and what each may ask for",
  options: { json: { type: "boolean", says: "as JSON lines" } },
  run: (given, { print }) =>
    withStore(given, async (store) => {
      const agents = (await store.list("agent")).map(({ record }) => record);
      const rows = agents.map(({ id, name, types, credential, paused }) => ({
        id,
        name,
        types: types.join(" "),
        auth: credential.method,
        state: paused ? "paused" : "active",
      }));
      print(table(rows, given.flag("json"), "no agents yet: countersign agent add"));
    }),
};

function pausing(name: "pause" | "resume", says: string): Command {
  return {
    name: `agent ${name}`,
    takes: "<id>",
    says,
    run: (given, { print }) =>
      withStore(given, async (store) => {
        const [id = ""] = given.words;
        const answer = await pauseAgent(store, id, name === "pause");
        if (answer !== "done" && answer.refused === "unknown")
          throw new OperatorError(`there is no agent ${id}`, "countersign agent list shows them.");
        print(`agent ${id} is ${name === "pause" ? "paused" : "active"}`);
      }),
  };
}

const removal: Command = {
  name: "agent remove",
  takes: "<id>",
  says: "take an agent's credentials away",
  run: (given, { print }) =>
    withStore(given, async (store) => {
      const [id = ""] = given.words;
      if ((await remove(store, "agent", id)) !== "done")
        throw new OperatorError(`there is no agent ${id}`, "countersign agent list shows them.");
      print(`agent ${id} is removed`);
    }),
};

export const agentCommands: readonly Command[] = [
  add,
  list,
  pausing("pause", "stop an agent everywhere at once: asks, redemptions, spends"),
  pausing("resume", "let a paused agent go on"),
  removal,
];
