import assert from "node:assert/strict";
import { copyFileSync, existsSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { backupSqlite } from "../src/store/sqlite/backup.ts";
import { openSqlite } from "../src/store/sqlite/sqlite.ts";
import { deploy, requestIdOf } from "./deployment.ts";

const order = (name: string) => ({
  authorization_details: JSON.stringify([{ type: "refund", order: name, amount: "1.00", currency: "USD" }]),
});

test("a backup under load is of one instant, whole, and what was acknowledged before it is in it", async () => {
  const place = await deploy();
  try {
    const ada = await place.enrol("ada@example.com");
    const before = (await place.ask(order("B-0"))).body.auth_req_id;
    await ada.decide(requestIdOf(before), "approve");
    let asking = true;
    const load = (async () => {
      for (let n = 1; asking && n < 15; n += 1) await place.ask(order(`B-${n}`));
    })();
    const to = join(dirname(place.file), "backup.db");
    await backupSqlite(place.file, to);
    asking = false;
    await load;
    assert.equal(statSync(to).mode & 0o777, 0o600);
    assert.ok(!existsSync(`${to}.partial`));

    const copy = openSqlite({ path: to });
    const held = await copy.read("approval", requestIdOf(before));
    assert.equal(held?.record.standing.state, "approved");
    // One instant: each request in the copy has its entry, and each entry its request.
    const requests = await copy.requests({ limit: 100 });
    for (const { id } of requests) assert.ok((await copy.log.newest(9, id)).length > 0);
    await copy.log.sequence(1_000);
    await copy.close();
    await assert.rejects(backupSqlite(place.file, to), /is there already/);

    // Restored: the same files under the same key go on.
    await place.server.close();
    copyFileSync(to, place.file);
    await place.restart();
    assert.equal((await place.poll(before)).status, 200);
  } finally {
    await place.close();
  }
});

test("what is not our database is not backed up, and leaves nothing behind", async () => {
  const place = await deploy();
  const [other, to] = ["other.db", "copy.db"].map((name) => join(dirname(place.file), name)) as [
    string,
    string,
  ];
  writeFileSync(
    other,
    "not a database at all, and longer than any header of one would have to be".repeat(20),
  );
  await assert.rejects(backupSqlite(other, to));
  assert.ok(!existsSync(to) && !existsSync(`${to}.partial`));
  await place.close();
});
