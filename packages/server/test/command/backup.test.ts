import assert from "node:assert/strict";
import { copyFileSync, existsSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { deploy, toRequestId } from "@countersign/testing/server/deployment";
import { backupSqlite } from "../../src/store/sqlite/backup.ts";
import { openSqlite } from "../../src/store/sqlite/sqlite.ts";

const order = (name: string) => ({
  authorization_details: JSON.stringify([{ type: "refund", order: name, amount: "1.00", currency: "USD" }]),
});

describe("backup", () => {
  test("copies one consistent state under load, with all acknowledged requests", async () => {
    const deployment = await deploy();
    try {
      const ada = await deployment.enrol("ada@example.com");
      const before = (await deployment.ask(order("B-0"))).body.auth_req_id;
      await ada.decide(toRequestId(before), "approve");
      let asking = true;
      const load = (async () => {
        for (let n = 1; asking && n < 15; n += 1) await deployment.ask(order(`B-${n}`));
      })();
      const to = join(dirname(deployment.file), "backup.db");
      await backupSqlite(deployment.file, to);
      asking = false;
      await load;
      assert.equal(statSync(to).mode & 0o777, 0o600);
      assert.ok(!existsSync(`${to}.partial`));

      const copy = openSqlite({ path: to });
      const held = await copy.read("request", toRequestId(before));
      assert.equal(held?.record.status.state, "approved");
      // One instant: each request in the copy has its entry, and each entry its request.
      const requests = await copy.listRequests({ limit: 100 });
      for (const { id } of requests) assert.ok((await copy.log.newest(9, id)).length > 0);
      await copy.log.sequence(1_000);
      await copy.close();
      await assert.rejects(backupSqlite(deployment.file, to), /already exists/);

      // Restored: the same files under the same key go on.
      await deployment.server.close();
      copyFileSync(to, deployment.file);
      await deployment.restart();
      assert.equal((await deployment.poll(before)).status, 200);
    } finally {
      await deployment.close();
    }
  });

  test("rejects a file that is not a countersign database, and leaves nothing behind", async (t) => {
    const deployment = await deploy();
    t.after(() => deployment.close());
    const [other, to] = ["other.db", "copy.db"].map((name) => join(dirname(deployment.file), name)) as [
      string,
      string,
    ];
    writeFileSync(
      other,
      "not a database at all, and longer than any header of one would have to be".repeat(20),
    );
    await assert.rejects(backupSqlite(other, to));
    assert.ok(!existsSync(to) && !existsSync(`${to}.partial`));
  });
});
