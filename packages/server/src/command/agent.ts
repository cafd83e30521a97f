import type { Json } from "@countersign/protocol";
import { metadataOf } from "../client/metadata.ts";
import { pauseAgent, remove } from "../operations/admit.ts";
import { allowanceCommands } from "./agent-allowance.ts";
import { refuseConfigured, registrationCommands } from "./agent-registration.ts";
import type { Command } from "./command.ts";
import { withStore } from "./deployment.ts";
import { OperatorError } from "./operator-error.ts";
import { printable, table } from "./table.ts";

const list: Command = {
  name: "agent list",
  says: "the agents, and what each may ask for",
  options: { json: { type: "boolean", says: "as JSON lines" } },
  run: (given, { print }) =>
    withStore(given, async (store) => {
      const agents = (await store.list("agent")).map(({ record }) => record);
      const rows = agents.map(({ id, name, types, credential, delivery, source, paused }) => ({
        id,
        name,
        types: types.join(" "),
        auth: credential.method,
        delivery: delivery.mode,
        source,
        state: paused ? "paused" : "active",
      }));
      print(table(rows, given.flag("json"), "no agents yet: countersign agent add"));
    }),
};

const show: Command = {
  name: "agent show",
  takes: "<id>",
  says: "all that an agent is registered with",
  options: { json: { type: "boolean", says: "as JSON" } },
  run: (given, { print }) =>
    withStore(given, async (store) => {
      const [id = ""] = given.words;
      const held = await store.read("agent", id);
      if (!held) throw new OperatorError(`there is no agent ${id}`, "countersign agent list shows them.");
      const { record } = held;
      const { client_name: name, ...metadata } = metadataOf(record);
      const shown: { readonly [key: string]: Json | undefined } = {
        id,
        name,
        state: record.paused ? "paused" : "active",
        source: record.source,
        added: new Date(record.createdAt).toISOString(),
        types: [...record.types],
        ...metadata,
      };
      if (given.flag("json")) print(JSON.stringify(shown));
      else print(lines(shown));
    }),
};

/** What is the same for every agent, and what is not so, goes without saying. */
function lines(shown: { readonly [key: string]: Json | undefined }): string {
  const said = Object.entries(shown).filter(
    ([key, value]) => value !== false && value !== undefined && !unsaid.includes(key),
  );
  const width = Math.max(...said.map(([key]) => key.length));
  return said.map(([key, value]) => `${key.padEnd(width)}  ${printable(spelled(value))}`).join("\n");
}

const unsaid = [
  "grant_types",
  "redirect_uris",
  "response_types",
  "id_token_signed_response_alg",
  "subject_type",
];

function spelled(value: Json | undefined): string {
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value.join(" ");
  return typeof value === "string" ? value : JSON.stringify(value);
}

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
      const held = await store.read("agent", id);
      if (held) refuseConfigured(held.record, given);
      if ((await remove(store, "agent", id)) !== "done")
        throw new OperatorError(`there is no agent ${id}`, "countersign agent list shows them.");
      print(`agent ${id} is removed`);
    }),
};

export const agentCommands: readonly Command[] = [
  ...registrationCommands,
  list,
  show,
  pausing("pause", "stop an agent everywhere at once: asks, redemptions, spends"),
  pausing("resume", "let a paused agent go on"),
  removal,
  ...allowanceCommands,
];
