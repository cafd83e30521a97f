import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, test } from "node:test";
import { addTable, type Dialect } from "./definition.ts";
import { migrations } from "./migrations.ts";

/** Prints the calls, so that the pins do not depend on how an engine writes them. */
const printedDialect: Dialect = {
  table: (name) => `<${name}>`,
  renameIndex: (...call) => JSON.stringify(["renameIndex", ...call]),
  renamePrimaryKey: (...call) => JSON.stringify(["renamePrimaryKey", ...call]),
  createTable: (...call) => JSON.stringify(["createTable", ...call]),
  addColumn: (...call) => JSON.stringify(["addColumn", ...call]),
};

/**
 * Digests of the migrations that databases in use have run. The upgrade tests compare a migrated schema with a new one, which
 * a changed migration passes; databases that ran it before would lack the change. Add the new ones at each release.
 */
const pinnedDigests: readonly string[] = [
  "5EcQmEdVbz47jmRlV1CLJOu1-EVtdEYhnF-xQ0CCucU",
  "jD15Y6GHamq05SKC7K2hg2AuCap6E3G9YyZ-SmvtDkQ",
  "2REr-Aqs2FCUZZ5TL4BGmTiDmWi1fbtJv-JZo_lAUsM",
];

describe("migrations", () => {
  test("keeps released migrations unchanged", () => {
    const digests = migrations
      .slice(0, pinnedDigests.length)
      .map(({ sql, bodies = {} }) =>
        hash("sha256", JSON.stringify([sql(printedDialect), Object.keys(bodies)]), "base64url"),
      );
    assert.deepEqual(digests, pinnedDigests, "add a migration instead");
  });

  test("creates a table and its indexes (addTable)", () => {
    const { number, sql } = addTable(9, "group", {
      columns: ["owner"],
      indexes: [{ name: "owner", on: ["owner", "id"], unique: true, where: "owner IS NOT NULL" }],
    });
    assert.equal(number, 9);
    assert.equal(
      sql(printedDialect),
      [
        '["createTable","group",["owner"]]',
        "CREATE UNIQUE INDEX group_owner ON <group> (owner, id) WHERE owner IS NOT NULL;",
      ].join("\n"),
    );
  });
});
