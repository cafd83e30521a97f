import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import { start } from "../examples/harness/process.ts";
import { type CallResult, call } from "./call.ts";
import { basic } from "./proof.ts";
import { encode } from "./test-server.ts";

const folder = mkdtempSync(join(tmpdir(), "countersign-serve-"));
after(() => rmSync(folder, { recursive: true }));
const file = new URL("serve.ts", import.meta.url);

/** Starts `serve.ts` with this plan and an open standard input. */
function serve(plan: unknown) {
  const path = join(folder, "plan.json");
  writeFileSync(path, JSON.stringify(plan));
  return start({ file, args: [path], folder, input: true });
}

describe("serve", () => {
  test("lets a suite request, decide, kill the server and redeem the acknowledged request", async (t) => {
    const process = serve({
      scopes: ["payments.example"],
      poll_interval: 1,
      agents: [{ id: "one" }, { id: "two", method: "private_key_jwt" }],
    });
    t.after(() => process.end("SIGKILL"));
    const [line] = await process.waitForLine(/^\{"event":"ready".*"resource".*$/);
    const ready = JSON.parse(line);
    const [one, two] = ready.agents;
    assert.equal(two.jwk.alg, "ES256");
    assert.ok(ready.approvers[0].enrolment_url.startsWith(ready.issuer));

    const post = (path: string, form: Record<string, string>): Promise<CallResult> =>
      call(ready.issuer + path, {
        method: "POST",
        headers: { ...basic(one.id, one.secret), "content-type": "application/x-www-form-urlencoded" },
        body: encode(form),
      });
    const asked = await post("/bc-authorize", {
      scope: "openid payments.example",
      login_hint: "ada@example.com",
    });
    assert.equal(asked.status, 200, asked.text);
    const { auth_req_id } = asked.body;
    const url = ready.headless_approver.replace("{auth_req_id}", auth_req_id).replace("{action}", "allow");
    assert.equal((await call(url)).body.sentence, "Pass payments.example");
    assert.equal((await call(url, { method: "POST" })).status, 200);

    process.child.stdin!.write("kill\n");
    await process.waitForLine(/^\{"event":"ready","issuer":"[^"]*"\}$/);
    const redeemed = await post("/oauth/token", { grant_type: cibaGrantType, auth_req_id });
    assert.equal(redeemed.status, 200, redeemed.text);
    const used = await call(`${ready.resource}/payments.example`, {
      headers: { authorization: `Bearer ${redeemed.body.access_token}` },
    });
    assert.equal(used.status, 200);

    await process.end();
    assert.equal(await process.ended, 0);
    await assert.rejects(call(`${ready.issuer}/jwks`));
  });

  test("rejects a plan with an unknown key, and names it", async () => {
    const process = serve({ agents: [{ id: "one", colour: "blue" }] });
    assert.equal(await process.ended, 1);
    assert.match(process.errorOutput(), /colour/);
  });
});
