import type { Json } from "@countersign/protocol";
import { toClientMetadata } from "../../domain/client/metadata.ts";
import { pauseAgent, removeClient } from "../../usecase/client/client-lifecycle.ts";
import type { Command } from "../cli/command.ts";
import { withStore } from "../cli/deployment.ts";
import { OperatorError } from "../cli/operator-error.ts";
import { formatTable, replaceControlChars } from "../cli/table.ts";
import { initialAccessTokenCommands } from "./initial-access-token.ts";
import { assertNotDeclared, registrationCommands } from "./registration.ts";

const listCommand: Command = {
  name: "agent list",
  summary: "list the agents and their action types",
  options: { json: { type: "boolean", summary: "print JSON lines" } },
  run: (args, { stdout }) =>
    withStore(args, async (store) => {
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
      stdout(formatTable(rows, args.flag("json"), "no agents; register one with countersign agent add"));
    }),
};

const showCommand: Command = {
  name: "agent show",
  args: "<id>",
  summary: "show an agent's registration",
  options: { json: { type: "boolean", summary: "print JSON" } },
  run: (args, { stdout }) =>
    withStore(args, async (store) => {
      const [id = ""] = args.positionals;
      const found = await store.read("agent", id);
      if (!found) throw new OperatorError(`there is no agent ${id}`, "countersign agent list shows them.");
      const { record } = found;
      const { client_name: name, ...metadata } = toClientMetadata(record);
      const fields: { readonly [key: string]: Json | undefined } = {
        id,
        name,
        state: record.paused ? "paused" : "active",
        source: record.source,
        added: new Date(record.createdAt).toISOString(),
        types: [...record.types],
        ...metadata,
      };
      if (args.flag("json")) stdout(JSON.stringify(fields));
      else stdout(formatAgent(fields));
    }),
};

/** Formats the members that differ between agents and are not false. */
function formatAgent(fields: { readonly [key: string]: Json | undefined }): string {
  const visible = Object.entries(fields).filter(
    ([key, value]) => value !== false && value !== undefined && !hiddenMembers.includes(key),
  );
  const width = Math.max(...visible.map(([key]) => key.length));
  return visible
    .map(([key, value]) => `${key.padEnd(width)}  ${replaceControlChars(formatValue(value))}`)
    .join("\n");
}

const hiddenMembers = [
  "grant_types",
  "redirect_uris",
  "response_types",
  "id_token_signed_response_alg",
  "subject_type",
];

function formatValue(value: Json | undefined): string {
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value.join(" ");
  return typeof value === "string" ? value : JSON.stringify(value);
}

function createPauseCommand(name: "pause" | "resume", summary: string): Command {
  return {
    name: `agent ${name}`,
    args: "<id>",
    summary,
    run: (args, { stdout }) =>
      withStore(args, async (store) => {
        const [id = ""] = args.positionals;
        const result = await pauseAgent(store, id, name === "pause");
        if (result !== "done" && result.refused === "unknown")
          throw new OperatorError(`there is no agent ${id}`, "countersign agent list shows them.");
        stdout(`agent ${id} is ${name === "pause" ? "paused" : "active"}`);
      }),
  };
}

const removeCommand: Command = {
  name: "agent remove",
  args: "<id>",
  summary: "remove an agent and its credentials",
  run: (args, { stdout }) =>
    withStore(args, async (store) => {
      const [id = ""] = args.positionals;
      const found = await store.read("agent", id);
      if (found) assertNotDeclared(found.record, args);
      if ((await removeClient(store, "agent", id)) !== "done")
        throw new OperatorError(`there is no agent ${id}`, "countersign agent list shows them.");
      stdout(`removed agent ${id}`);
    }),
};

export const agentCommands: readonly Command[] = [
  ...registrationCommands,
  listCommand,
  showCommand,
  createPauseCommand("pause", "pause an agent: its requests, redemptions and spends are rejected at once"),
  createPauseCommand("resume", "resume a paused agent"),
  removeCommand,
  ...initialAccessTokenCommands,
];
