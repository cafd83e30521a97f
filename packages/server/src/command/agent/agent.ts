import type { Json } from "@countersign/protocol";
import { metadataOf } from "../../domain/client/metadata.ts";
import { pauseAgent, remove } from "../../usecase/client/client-lifecycle.ts";
import type { Command } from "../cli/command.ts";
import { withStore } from "../cli/deployment.ts";
import { OperatorError } from "../cli/operator-error.ts";
import { printable, table } from "../cli/table.ts";
import { initialAccessTokenCommands } from "./initial-access-token.ts";
import { refuseConfigured, registrationCommands } from "./registration.ts";

const list: Command = {
  name: "agent list",
  summary: "the agents, and what each may ask for",
  options: { json: { type: "boolean", summary: "as JSON lines" } },
  run: (given, { stdout }) =>
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
      stdout(table(rows, given.flag("json"), "no agents yet: countersign agent add"));
    }),
};

const show: Command = {
  name: "agent show",
  args: "<id>",
  summary: "all that an agent is registered with",
  options: { json: { type: "boolean", summary: "as JSON" } },
  run: (given, { stdout }) =>
    withStore(given, async (store) => {
      const [id = ""] = given.words;
      const found = await store.read("agent", id);
      if (!found) throw new OperatorError(`there is no agent ${id}`, "countersign agent list shows them.");
      const { record } = found;
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
      if (given.flag("json")) stdout(JSON.stringify(shown));
      else stdout(lines(shown));
    }),
};

/** What is the same for every agent, and what is not so, goes without saying. */
function lines(shown: { readonly [key: string]: Json | undefined }): string {
  const said = Object.entries(shown).filter(
    ([key, value]) => value !== false && value !== undefined && !hiddenMembers.includes(key),
  );
  const width = Math.max(...said.map(([key]) => key.length));
  return said.map(([key, value]) => `${key.padEnd(width)}  ${printable(spelled(value))}`).join("\n");
}

const hiddenMembers = [
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

function pausing(name: "pause" | "resume", summary: string): Command {
  return {
    name: `agent ${name}`,
    args: "<id>",
    summary,
    run: (given, { stdout }) =>
      withStore(given, async (store) => {
        const [id = ""] = given.words;
        const answer = await pauseAgent(store, id, name === "pause");
        if (answer !== "done" && answer.refused === "unknown")
          throw new OperatorError(`there is no agent ${id}`, "countersign agent list shows them.");
        stdout(`agent ${id} is ${name === "pause" ? "paused" : "active"}`);
      }),
  };
}

const removal: Command = {
  name: "agent remove",
  args: "<id>",
  summary: "take an agent's credentials away",
  run: (given, { stdout }) =>
    withStore(given, async (store) => {
      const [id = ""] = given.words;
      const found = await store.read("agent", id);
      if (found) refuseConfigured(found.record, given);
      if ((await remove(store, "agent", id)) !== "done")
        throw new OperatorError(`there is no agent ${id}`, "countersign agent list shows them.");
      stdout(`agent ${id} is removed`);
    }),
};

export const agentCommands: readonly Command[] = [
  ...registrationCommands,
  list,
  show,
  pausing("pause", "stop an agent everywhere at once: asks, redemptions, spends"),
  pausing("resume", "let a paused agent go on"),
  removal,
  ...initialAccessTokenCommands,
];
