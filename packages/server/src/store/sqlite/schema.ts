/**
 * The tables, made from the list in `record.ts`, and the number by which a file says which tables it has. A file of
 * another program, or of a newer version of this one, is refused before anything in it is touched.
 */
import type { DatabaseSync } from "node:sqlite";
import { type Kind, tables } from "../record.ts";

/** Raised with every change of `schema()`; whoever raises it adds the step that brings the version before up to it. */
export const schemaVersion = 1;

/** "CSGN", in the file's header. */
const applicationId = 0x4353474e;

/** Columns of a kind besides id, version, due_at and body, in the order in which they are written. */
export const columnsOf = (kind: Kind): readonly string[] => Object.keys(tables[kind].columns);

/** Body comes last: a reader of columns does not touch the pages that a long body overflows into. */
function tableSql(kind: Kind): string {
  const columns = columnsOf(kind).map((name) => `${name} ${name.endsWith("_at") ? "INTEGER" : "TEXT"}, `);
  return `
CREATE TABLE "${kind}" (
  id TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL, due_at INTEGER, ${columns.join("")}body TEXT NOT NULL
) STRICT;
CREATE INDEX "${kind}_due" ON "${kind}" (due_at, id) WHERE due_at IS NOT NULL;`;
}

const indexSql = `
CREATE UNIQUE INDEX approver_email ON approver (email);
CREATE INDEX device_approver ON device (approver, id);
CREATE INDEX session_device ON session (device, id);
CREATE INDEX request_state ON request (state, id);
CREATE INDEX request_decided_by ON request (decided_by, id) WHERE decided_by IS NOT NULL;
CREATE INDEX request_pending ON request (agent, expires_at) WHERE state = 'pending';
CREATE INDEX request_asked ON request (agent, created_at);
CREATE INDEX message_given_up ON message (id) WHERE state = 'given_up';
CREATE INDEX callback_given_up ON callback (id) WHERE state = 'given_up';

CREATE TABLE waiting (approver TEXT NOT NULL, request TEXT NOT NULL, PRIMARY KEY (approver, request))
  STRICT, WITHOUT ROWID;
CREATE INDEX waiting_request ON waiting (request);`;

/** Append-only by triggers: an index is given once, each is one more than the last, and nothing else ever changes. */
const logSql = `
CREATE TABLE log_entry (
  arrival INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, line TEXT NOT NULL, request TEXT,
  leaf_index INTEGER UNIQUE
) STRICT;
CREATE INDEX log_entry_request ON log_entry (request) WHERE request IS NOT NULL;
CREATE TABLE log_text (
  entry INTEGER NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL, salt TEXT NOT NULL, PRIMARY KEY (entry, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE log_node (level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, idx))
  STRICT, WITHOUT ROWID;
CREATE TABLE checkpoint (arrival INTEGER PRIMARY KEY, size INTEGER NOT NULL, note TEXT NOT NULL, UNIQUE (size, note))
  STRICT;

CREATE TRIGGER log_entry_arrives BEFORE INSERT ON log_entry WHEN NEW.leaf_index IS NOT NULL
  BEGIN SELECT RAISE(ABORT, 'a log entry gets its index from the sequencer'); END;
CREATE TRIGGER log_entry_stays BEFORE UPDATE OF arrival, id, line, request ON log_entry
  BEGIN SELECT RAISE(ABORT, 'a log entry is never changed'); END;
CREATE TRIGGER log_entry_sequenced BEFORE UPDATE OF leaf_index ON log_entry
  WHEN OLD.leaf_index IS NOT NULL
    OR NEW.leaf_index IS NOT (SELECT coalesce(max(leaf_index) + 1, 0) FROM log_entry)
  BEGIN SELECT RAISE(ABORT, 'a log entry gets the next index, once'); END;
CREATE TRIGGER log_text_stays BEFORE UPDATE ON log_text
  BEGIN SELECT RAISE(ABORT, 'a text of the log is erased or stays as it is'); END;
${["log_entry", "log_node", "checkpoint"].map((table) => forbid(table, "DELETE")).join("\n")}
${["log_node", "checkpoint"].map((table) => forbid(table, "UPDATE")).join("\n")}`;

function forbid(table: string, event: "DELETE" | "UPDATE"): string {
  return `CREATE TRIGGER ${table}_never_${event.toLowerCase()} BEFORE ${event} ON ${table}
  BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;`;
}

/** Everything that a new file starts with. */
export function schemaSql(): string {
  return [...Object.keys(tables).map((kind) => tableSql(kind as Kind)), indexSql, logSql].join("\n");
}

/** Refuses a file that is not ours or too new, without writing to it. Answers whether it is still to be filled. */
export function checkSchema(database: DatabaseSync): "empty" | "present" {
  // One statement, so that all three are of the same instant: another process may be filling the file right now.
  const { id, version, tables } = database
    .prepare(
      `SELECT application_id AS id, user_version AS version, (SELECT count(*) FROM sqlite_schema) AS tables
       FROM pragma_application_id, pragma_user_version`,
    )
    .get() as { id: number; version: number; tables: number };
  if (id !== applicationId) {
    if (tables > 0) throw new Error("this is the database of another program");
    return "empty";
  }
  if (version === schemaVersion) return "present";
  throw new Error(
    `written by another version of countersign (schema ${version}; this version reads schema ${schemaVersion})` +
      (version > schemaVersion ? ": start the newer version" : ""),
  );
}

/** Fills an empty file, once, also when several processes open it at the same time. */
export function createSchema(database: DatabaseSync): void {
  if (checkSchema(database) === "present") return;
  database.exec("BEGIN IMMEDIATE");
  try {
    if (checkSchema(database) === "empty") {
      database.exec(schemaSql());
      database.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${schemaVersion}`);
    }
    // Crashing before this leaves an empty file, which the next start fills; after it, the whole schema is there.
    database.exec("COMMIT");
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}
