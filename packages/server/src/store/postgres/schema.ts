/** The tables, derived from the record definitions, in a separate schema. */
import { createIndexSql } from "../record/index-sql.ts";
import { definitions, type Kind, kinds } from "../record/records.ts";

/** Columns of a kind besides id, version, due_at and body, in the order in which they are written. */
export const columnsOf = (kind: Kind): readonly string[] => Object.keys(definitions[kind].columns);

/** Returns the SQL type: times are `bigint`, all other columns are `text`. */
export const columnTypeOf = (column: string): "bigint" | "text" =>
  column.endsWith("_at") ? "bigint" : "text";

/** Returns the SQL of a new database. `schema` must be validated: it is inserted into the SQL. */
export function createSchemaSql(schema: string): string {
  return [
    ...kinds.map((kind) => tableSql(schema, kind)),
    inboxSql(schema),
    logSql(schema),
    appendOnlySql(schema),
  ].join("\n");
}

/** Ids are compared bytewise, independent of the collation of the database. */
export function createTableSql(schema: string, table: string, columns: readonly string[]): string {
  const columnSql = columns.map((name) => {
    const collated = columnTypeOf(name) === "text" ? ' COLLATE "C"' : "";
    return `${name} ${columnTypeOf(name)}${collated}, `;
  });
  return `
CREATE TABLE ${schema}."${table}" (
  id text COLLATE "C" NOT NULL PRIMARY KEY, version integer NOT NULL, due_at bigint, ${columnSql.join("")}body text NOT NULL
);
CREATE INDEX "${table}_due" ON ${schema}."${table}" (due_at, id) WHERE due_at IS NOT NULL;`;
}

function tableSql(schema: string, kind: Kind): string {
  return `${createTableSql(schema, kind, columnsOf(kind))}
${createIndexSql(kind, definitions[kind].indexes, (table) => `${schema}."${table}"`)}`;
}

/** The requests in each approver's inbox. */
function inboxSql(schema: string): string {
  return `
CREATE TABLE ${schema}.waiting (
  approver text COLLATE "C" NOT NULL, request text COLLATE "C" NOT NULL, PRIMARY KEY (approver, request)
);
CREATE INDEX waiting_request ON ${schema}.waiting (request);`;
}

function logSql(schema: string): string {
  return `
CREATE TABLE ${schema}.log_entry (
  arrival bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text COLLATE "C" NOT NULL UNIQUE, line text NOT NULL,
  request text COLLATE "C", leaf_index bigint UNIQUE
);
CREATE INDEX log_entry_request ON ${schema}.log_entry (request, arrival) WHERE request IS NOT NULL;
CREATE INDEX log_entry_waiting ON ${schema}.log_entry (arrival) WHERE leaf_index IS NULL;
CREATE TABLE ${schema}.log_text (
  entry text COLLATE "C" NOT NULL, name text NOT NULL, text text NOT NULL, salt text NOT NULL, PRIMARY KEY (entry, name)
);
CREATE TABLE ${schema}.log_node (level integer NOT NULL, idx bigint NOT NULL, hash bytea NOT NULL, PRIMARY KEY (level, idx));
CREATE TABLE ${schema}.checkpoint (
  arrival bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, size bigint NOT NULL, note text NOT NULL, UNIQUE (size, note)
);`;
}

/** Triggers make the log append-only: an entry gets its index once, and nothing else changes. */
function appendOnlySql(schema: string): string {
  const forbid = (table: string, event: "DELETE" | "UPDATE" | "TRUNCATE") =>
    `CREATE TRIGGER ${table}_never_${event.toLowerCase()} BEFORE ${event} ON ${schema}.${table}
  FOR EACH STATEMENT EXECUTE FUNCTION ${schema}.refuse();`;
  return `
CREATE FUNCTION ${schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'the log is append-only'; END $$;
CREATE FUNCTION ${schema}.index_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF OLD.leaf_index IS NOT NULL OR NEW.leaf_index IS NULL
    OR (NEW.arrival, NEW.id, NEW.line, NEW.request) IS DISTINCT FROM (OLD.arrival, OLD.id, OLD.line, OLD.request)
  THEN RAISE EXCEPTION 'a log entry gets an index, once, and nothing else of it changes'; END IF;
  RETURN NEW; END $$;
CREATE TRIGGER log_entry_index_once BEFORE UPDATE ON ${schema}.log_entry
  FOR EACH ROW EXECUTE FUNCTION ${schema}.index_once();
${["log_entry", "log_node", "checkpoint"].flatMap((table) => [forbid(table, "DELETE"), forbid(table, "TRUNCATE")]).join("\n")}
${["log_node", "checkpoint", "log_text"].map((table) => forbid(table, "UPDATE")).join("\n")}`;
}
