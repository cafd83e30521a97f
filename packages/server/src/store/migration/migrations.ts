/**
 * Numbered migrations, shared by both engines. A new database starts with the current schema; an older one is brought up
 * to it, one migration after the other, in one transaction. A released migration is never changed. To change the schema:
 * change the record definition and add the next number here; the test that compares a migrated schema with a new one then
 * passes. A new record kind needs one row: `addTable(5, "group", { columns: ["owner"] })`.
 */
import { renameToFieldTerms } from "./0002-field-terms.ts";
import { addContacts } from "./0003-contacts.ts";
import { recordAuthentication } from "./0004-session-authentication.ts";
import type { Migration } from "./definition.ts";

/** Number 1 is the schema that the first databases were created with. */
export const firstSchema = 1;

export const migrations: readonly Migration[] = [renameToFieldTerms, addContacts, recordAuthentication];

/** The number of the current schema. */
export const schemaVersion = migrations.at(-1)?.number ?? firstSchema;

/** Migrations that a database of this version still needs, in order. */
export function listPending(version: number): readonly Migration[] {
  return migrations.filter(({ number }) => number > version);
}
