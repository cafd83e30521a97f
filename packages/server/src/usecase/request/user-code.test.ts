import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { createConfigDirectory } from "../../directory/config-directory.ts";
import type { Agent } from "../../domain/client/client.ts";
import { openSqlite } from "../../store/sqlite/sqlite.ts";
import { invite } from "../people/enrol.ts";
import { checkUserCode, setUserCode } from "./user-code.ts";

describe("checkUserCode", () => {
  test("returns conflict for a right code if another attempt was counted meanwhile (T56)", async () => {
    const folder = mkdtempSync(join(tmpdir(), "countersign-code-"));
    const store = openSqlite({ path: join(folder, "countersign.db") });
    const directory = createConfigDirectory({
      policy: { current: () => ({ actions: new Map(), groups: new Map() }) },
      store,
    });
    await invite({ store, directory }, "ada@example.com", "Ada");
    await setUserCode({ store, directory }, "ada@example.com", "314159265");
    const ada = await directory.findByEmail("ada@example.com");
    assert.ok(ada);
    const guess = (code: string) =>
      checkUserCode({ store, policy: { userCodes: true } }, { userCode: true } as Agent, [ada.record], code);

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
});
