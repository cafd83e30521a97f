import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { collectLines } from "@countersign/testing/audit/test-log";
import { refund, toRequestId } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { decodeJwt } from "jose";
import { exportEvidence, exportLog, verifyEvidence, verifyLog } from "../../src/audit/audit.ts";

const deployment = useDeployment({ approvers: ["ada", "bob"] });

let orders = 0;
async function ask(type: string, hint = "ada@example.com"): Promise<string> {
  orders += 1;
  const details = JSON.stringify([{ ...refund, type, order: `L-${orders}` }]);
  const { status, body } = await deployment.ask({ authorization_details: details, login_hint: hint });
  assert.equal(status, 200, JSON.stringify(body));
  return body.auth_req_id;
}

async function redeem(authReqId: string): Promise<string> {
  const { status, body } = await deployment.poll(authReqId);
  assert.equal(status, 200, JSON.stringify(body));
  return body.access_token;
}

describe("log of the server", () => {
  test("verifies, as does the evidence of each request", async () => {
    const signed = await ask("signed-refund");
    assert.equal((await deployment.ada.decide(toRequestId(signed), "approve")).status, 303);
    const token = await redeem(signed);
    const spend = { token, spend_id: randomBytes(16).toString("base64url") };
    const digest = decodeJwt(token).act_digest as string;
    assert.equal(
      (await deployment.spend({ ...spend, operation: "reserve", act_digest: "A".repeat(43) })).status,
      409,
    );
    assert.equal(
      (await deployment.spend({ ...spend, operation: "reserve", act_digest: digest })).status,
      200,
    );
    assert.equal((await deployment.spend({ ...spend, operation: "complete" })).status, 200);

    assert.equal(
      (await deployment.bob.decide(toRequestId(await ask("refund", "bob@example.com")), "deny")).status,
      303,
    );
    const unspent = await ask("fresh-refund");
    assert.equal((await deployment.ada.decide(toRequestId(unspent), "approve")).status, 303);
    await redeem(unspent);
    const lapsing = await ask("refund");
    assert.equal((await deployment.ada.decide(toRequestId(lapsing), "approve")).status, 303);
    await ask("refund");
    deployment.clock.now += 24 * 3_600_000;
    await deployment.server.runJobs();

    const { store, keyring } = deployment.server;
    const key = keyring.logKey;
    const verified = await verifyLog(exportLog(store.log, key), { key });
    assert.ok("ok" in verified, JSON.stringify(verified, undefined, 2));
    assert.equal(verified.entries, await store.log.size());
    const { requests, signatures, erased } = verified.checked;
    assert.deepEqual({ requests, signatures, erased }, { requests: 5, signatures: 1, erased: 0 });

    const states: string[] = [];
    for (const { id } of await store.listRequests({ limit: 10 })) {
      const document = await exportEvidence(store.log, key, id);
      assert.equal(typeof document, "string");
      const evidence = await verifyEvidence(document as string, { key });
      assert.ok("ok" in evidence, JSON.stringify(evidence));
      states.push(evidence.state);
    }
    assert.deepEqual(states.sort(), ["denied", "expired", "lapsed", "redeemed", "redeemed"]);
    const lines = await collectLines(exportLog(store.log, key));
    assert.ok(lines.some((line) => line.includes("token.expired")));
  });
});
