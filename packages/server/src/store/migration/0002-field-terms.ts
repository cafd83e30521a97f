/** Renames tables, columns, indexes, JSON members and outbox states to the field's terms (approval → request, latch → denial, …). */
import type { JsonObject } from "@countersign/protocol";
import type { Migration } from "./definition.ts";

const tables: readonly (readonly [from: string, to: string])[] = [
  ["approval", "request"],
  ["latch", "denial"],
  ["ask_key", "dedupe_key"],
  ["registration_grant", "initial_access_token"],
  ["guess", "user_code_attempts"],
  ["published_type", "action_type"],
];

/** States of the outbox: messages and callbacks. */
const states: { readonly [from: string]: string } = {
  waiting: "queued",
  silent: "idle",
  given_up: "abandoned",
};
const whenStates = Object.entries(states)
  .map(([from, to]) => `WHEN '${from}' THEN '${to}'`)
  .join(" ");

function renameState(record: JsonObject): JsonObject {
  const state = String(record.state);
  return { ...record, state: states[state] ?? state };
}

export const renameToFieldTerms: Migration = {
  number: 2,
  summary: "tables, indexes and members named by the field's terms",
  sql: (dialect) => {
    const { table, renameIndex, renamePrimaryKey } = dialect;
    const request = table("request");
    return [
      ...tables.flatMap(([from, to]) => [
        `ALTER TABLE ${table(from)} RENAME TO "${to}";`,
        renamePrimaryKey(from, to),
        renameIndex(
          `${from}_due`,
          `${to}_due`,
          `CREATE INDEX "${to}_due" ON ${table(to)} (due_at, id) WHERE due_at IS NOT NULL;`,
        ),
      ]),
      renameIndex("approval_state", "request_state", `CREATE INDEX request_state ON ${request} (state, id);`),
      renameIndex(
        "approval_decided_by",
        "request_decided_by",
        `CREATE INDEX request_decided_by ON ${request} (decided_by, id) WHERE decided_by IS NOT NULL;`,
      ),
      renameIndex(
        "approval_pending",
        "request_pending",
        `CREATE INDEX request_pending ON ${request} (agent, expires_at) WHERE state = 'pending';`,
      ),
      renameIndex(
        "approval_asked",
        "request_asked",
        `CREATE INDEX request_asked ON ${request} (agent, created_at);`,
      ),
      `ALTER TABLE ${table("waiting")} RENAME COLUMN approval TO request;`,
      renameIndex(
        "waiting_approval",
        "waiting_request",
        `CREATE INDEX waiting_request ON ${table("waiting")} (request);`,
      ),
      ...["message", "callback"].flatMap((outbox) => [
        `UPDATE ${table(outbox)} SET state = CASE state ${whenStates} ELSE state END;`,
        `DROP INDEX ${table(`${outbox}_given_up`)};`,
        `CREATE INDEX ${outbox}_abandoned ON ${table(outbox)} (id) WHERE state = 'abandoned';`,
      ]),
    ].join("\n");
  },
  bodies: {
    request: ({ standing, askKey, parts, ...rest }) => ({
      ...rest,
      parts: (parts as JsonObject[]).map(({ latchKey, ...part }) => ({ ...part, denyKey: latchKey! })),
      dedupeKey: askKey!,
      status: standing!,
    }),
    denial: ({ subject, approval, ...rest }) => ({ ...rest, fields: subject!, requestId: approval! }),
    dedupe_key: ({ approval, content, ...rest }) => ({
      ...rest,
      requestId: approval!,
      contentHash: content!,
    }),
    token: ({ approval, ...rest }) => ({ ...rest, requestId: approval! }),
    message: ({ approval, ...rest }) => ({ ...renameState(rest), requestId: approval! }),
    callback: renameState,
  },
};
