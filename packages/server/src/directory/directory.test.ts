/** The contract of a directory, run on the configuration and on a second implementation, which stores its groups. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createStoredDirectory } from "@countersign/testing/server/stored-directory";
import type { ActionPolicy } from "../domain/action/action-type.ts";
import type { Approver } from "../domain/people/approver.ts";
import { anApprover, anEntry } from "../store/contract/fixture.ts";
import { openSqlite } from "../store/sqlite/sqlite.ts";
import { absent, type Store } from "../store/store.ts";
import { createConfigDirectory } from "./config-directory.ts";
import type { Directory } from "./directory.ts";

const owner = { field: "service", of: { search: "ada@example.com", billing: "finance" } };
const key = { type: "deploy", field: "service", value: "search" };
const config = {
  groups: new Map([["finance", ["Ada@example.com", "carol@example.com"]]]),
  actions: new Map([["deploy", { approvers: { people: [], groups: [], owner } } as unknown as ActionPolicy]]),
};

type OpenDirectory = (store: Store, ada: Approver) => Promise<Directory>;
const implementations: Readonly<Record<string, OpenDirectory>> = {
  configuration: async (store) => createConfigDirectory({ policy: { current: () => config }, store }),
  stored: async (store, ada) => {
    const directory = createStoredDirectory(store, owner.of);
    await directory.setMembers("finance", [ada.id]);
    return directory;
  },
};

for (const [name, open] of Object.entries(implementations))
  describe(`directory: ${name}`, () => {
    const ada = anApprover({ email: "ada@example.com" });
    const bob = anApprover({ email: "bob@example.com" });
    let store: Store;
    let directory: Directory;
    let now: number;

    before(async () => {
      store = openSqlite({ path: ":memory:" });
      now = store.now();
      for (const record of [ada, bob])
        await store.commit({
          writes: [{ put: "approver", record, ifVersion: absent }],
          entries: [anEntry()],
        });
      directory = await open(store, ada);
    });
    after(() => store.close());

    test("finds an approver by e-mail address and by id", async () => {
      const entry = await directory.findByEmail("ada@example.com");
      assert.deepEqual(entry, { record: ada, version: 1, active: true });
      assert.deepEqual(await directory.findById(ada.id), entry);
      assert.equal(await directory.findByEmail("mallory@example.com"), undefined);
      assert.equal(await directory.findById("apr_unknown"), undefined);
    });

    test("agrees in listGroupsOf and listMembers", async () => {
      for (const approver of [ada, bob])
        for (const group of ["finance", "unknown"]) {
          const isMember = (await directory.listMembers(group, now)).includes(approver.email);
          const { value } = await directory.listGroupsOf(approver, [group], now);
          assert.deepEqual(value, isMember ? [group] : []);
        }
      assert.ok((await directory.listMembers("finance", now)).includes("ada@example.com"));
    });

    test("finds the owner of a value", async () => {
      assert.equal((await directory.findOwner(key, now)).value, "ada@example.com");
      assert.equal((await directory.findOwner({ ...key, value: "billing" }, now)).value, "finance");
      assert.equal((await directory.findOwner({ ...key, value: "new" }, now)).value, undefined);
    });

    test("finds no owner by an inherited property (T27)", async () => {
      for (const value of ["constructor", "toString", "__proto__", "hasOwnProperty"])
        assert.equal((await directory.findOwner({ ...key, value }, now)).value, undefined);
    });
  });

describe("config directory", () => {
  test("finds no owner under another type or field than the policy's", async () => {
    const store = openSqlite({ path: ":memory:" });
    const directory = createConfigDirectory({ policy: { current: () => config }, store });
    assert.equal((await directory.findOwner({ ...key, type: "refund" }, 0)).value, undefined);
    assert.equal((await directory.findOwner({ ...key, field: "team" }, 0)).value, undefined);
    await store.close();
  });
});
