/** Adds contacts of approvers, the kind of a message, and the index of messages that await the end of a request. */
import { createTable, type Migration } from "./definition.ts";

export const addContacts: Migration = {
  number: 3,
  summary: "contacts of approvers, kinds of messages",
  sql: (dialect) => {
    const { table, addColumn } = dialect;
    const message = table("message");
    return [
      createTable(dialect, "contact", {
        columns: ["approver"],
        indexes: [{ name: "approver", on: ["approver", "id"] }],
      }),
      addColumn("message", "awaits", ["state", "awaits"]),
      `CREATE INDEX IF NOT EXISTS message_abandoned ON ${message} (id) WHERE state = 'abandoned';`,
      `CREATE INDEX message_awaits ON ${message} (awaits, id) WHERE awaits IS NOT NULL;`,
    ].join("\n");
  },
  bodies: { message: (message) => ({ kind: "requested", ...message }) },
};
