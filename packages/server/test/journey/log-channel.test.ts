/** The log channel: notifications as lines on standard output, and their updates. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { shortDigest } from "@countersign/protocol";
import { issuer, refund, toRequestId } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { exportLog } from "../../src/audit/export.ts";
import { verifyLog } from "../../src/audit/verify.ts";

const printed: { readonly [member: string]: string }[] = [];
const deployment = useDeployment({
  config: { channels: { log: {} } },
  print: (line) => void printed.push(JSON.parse(line)),
});

async function ask(order: string): Promise<{ readonly id: string; readonly checkCode: string }> {
  const response = await deployment.ask({ authorization_details: JSON.stringify([{ ...refund, order }]) });
  assert.equal(response.status, 200, JSON.stringify(response.body));
  const id = toRequestId(response.body.auth_req_id);
  printed.length = 0;
  await deployment.server.runJobs();
  const digest = (await deployment.server.store.read("request", id))?.record.digest ?? "";
  return { id, checkCode: shortDigest(digest) };
}

describe("log channel", () => {
  test("prints the addressee, the summary, the check code and the link", async () => {
    const { id, checkCode } = await ask("L-1");
    assert.deepEqual(printed, [
      {
        channel: "log",
        kind: "requested",
        to: "ada@example.com",
        summary: "Refund $10,000.00 for order “L-1”",
        check_code: checkCode,
        link: `${issuer}/requests/${id}?via=log`,
      },
    ]);
    await deployment.ada.decide(id, "deny");
  });

  for (const [verdict, outcome] of [
    ["approve", "approved"],
    ["deny", "denied"],
  ] as const)
    test(`prints the outcome once: ${outcome}`, async () => {
      const { id, checkCode } = await ask(`L-${verdict}`);
      assert.equal((await deployment.ada.decide(id, verdict)).status, 303);
      printed.length = 0;
      await deployment.server.runJobs();
      await deployment.server.runJobs();
      assert.deepEqual(printed, [
        {
          channel: "log",
          kind: "resolved",
          to: "ada@example.com",
          summary: `Refund $10,000.00 for order “L-${verdict}”`,
          check_code: checkCode,
          outcome,
        },
      ]);
    });

  test("prints that a request expired", async () => {
    await ask("L-2");
    deployment.clock.now += 120_000;
    printed.length = 0;
    await deployment.server.runJobs();
    assert.deepEqual(
      printed.map(({ outcome }) => outcome),
      ["expired"],
    );
  });

  test("names the channel in the log entry of a decision made from its link", async () => {
    const { id } = await ask("L-3");
    assert.equal((await deployment.ada.decide(id, "deny", { via: "log" })).status, 303);
    const { store, keyring } = deployment.server;
    const [entry] = await store.log.newest(1, id);
    assert.equal(JSON.parse(entry?.line ?? "{}").facts.channel, "log");
    await deployment.server.runJobs();
    const key = keyring.logKey;
    const verified = await verifyLog(exportLog(store.log, key), { key });
    assert.ok("ok" in verified, JSON.stringify(verified));
  });
});
