import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Agent } from "../../domain/client/client.ts";
import { openSqlite } from "../../store/sqlite/sqlite.ts";
import { invite } from "../people/enrol.ts";
import { checkUserCode, setUserCode } from "./user-code.ts";

test("T56: a right guess is worth nothing once another one was counted", async () => {
  const folder = mkdtempSync(join(tmpdir(), "countersign-code-"));
  const store = openSqlite({ path: join(folder, "countersign.db") });
  await invite(store, "ada@example.com", "Ada");
  await setUserCode(store, "ada@example.com", "314159265");
  const ada = await store.findApproverByEmail("ada@example.com");
  assert.ok(ada);
  const guess = (code: string) =>
    checkUserCode({ store, policy: { userCodes: true } }, { userCode: true } as Agent, [ada], code);

  const right = await guess("314159265");
  assert.ok("writes" in right);
  assert.deepEqual(await guess("314159266"), {
    refused: "invalid_user_code",
    why: "wrong user code for this approver",
  });
  assert.equal(await store.commitUnlogged({ writes: right.writes }), "conflict");
  const again = await guess("314159265");
  assert.ok("writes" in again);
  assert.equal(await store.commitUnlogged({ writes: again.writes }), "committed");
  await store.close();
  rmSync(folder, { recursive: true });
});
