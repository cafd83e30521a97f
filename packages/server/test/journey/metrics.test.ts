import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { toRequestId } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { openMetrics } from "../../src/metrics/metrics.ts";

/** Nothing listens at this address. */
const unreachableMail = { mail: { smtp: "smtp://127.0.0.1:1", from: "countersign@example.com" } };
const metrics = openMetrics("0.1.0");
const deployment = useDeployment({
  config: { limits: { max_pending_per_agent: 2 }, channels: unreachableMail },
  metrics,
  allowFaults: true,
});

/** The value of a series, as Prometheus reads it. */
async function value(series: string): Promise<number | undefined> {
  const { text } = await metrics.scrape();
  const line = text.split("\n").find((one) => one.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

const order = (name: string) => ({
  authorization_details: JSON.stringify([{ type: "refund", order: name, amount: "1.00", currency: "USD" }]),
});

describe("metrics", () => {
  test("count requests, decisions and tokens after the commit", async () => {
    const first = (await deployment.ask(order("M-1"))).body.auth_req_id;
    const second = (await deployment.ask(order("M-2"))).body.auth_req_id;
    deployment.clock.now += 12_000;
    assert.equal(await value('countersign_pending_requests{within="10s"}'), 0);
    assert.equal(await value('countersign_pending_requests{within="30s"}'), 2);
    assert.equal(await value("countersign_oldest_pending_request_seconds"), 12);

    assert.equal((await deployment.ask(order("M-3"))).status, 403);
    assert.equal(
      await value(
        'countersign_requests_refused_total{error="access_denied",stage="",limit="max_pending_per_agent"}',
      ),
      1,
    );

    await deployment.ada.decide(toRequestId(first), "approve");
    await deployment.ada.decide(toRequestId(second), "deny", { via: "mail" });
    assert.equal(
      await value('countersign_decisions_total{verdict="approve",level="session",channel="inbox"}'),
      1,
    );
    assert.equal(
      await value('countersign_decisions_total{verdict="deny",level="session",channel="mail"}'),
      1,
    );
    assert.equal(await value('countersign_decision_seconds_sum{verdict="approve",channel="inbox"}'), 12);
    assert.equal(await value('countersign_requests_total{event="created",type="refund"}'), 2);
    assert.equal(await value('countersign_pending_requests{within="any"}'), 0);

    const token = (await deployment.poll(first)).body.access_token;
    const wrong = { operation: "reserve", token, spend_id: "spend-1-of-metrics-test", act_digest: "wrong" };
    assert.equal((await deployment.spend(wrong)).status, 409);
    assert.equal(await value('countersign_tokens_total{event="issued"}'), 1);
    assert.equal(await value('countersign_spends_refused_total{error="digest_mismatch"}'), 1);
  });

  test("count responses by route, never by path", async () => {
    await deployment.request("/enrol/a-secret-that-nobody-may-read");
    const { text } = await metrics.scrape();
    assert.doesNotMatch(text, /a-secret|ada@|M-1/);
    assert.ok(
      (await value('countersign_http_request_duration_seconds_count{route="/oauth/token",status="200"}')) ===
        1,
    );
    assert.match(text, /nodejs_eventloop_lag_p99_seconds/);
    assert.ok((await value('countersign_commit_seconds_count{outcome="committed"}'))! > 5);
  });

  test("count each failed delivery attempt, not only abandoned messages", async () => {
    await deployment.ask(order("M-4"));
    await deployment.server.runJobs();
    assert.equal(
      await value('countersign_message_attempt_seconds_count{outcome="failed",channel="mail"}'),
      1,
    );
  });

  test("have no label values that a caller can choose", async () => {
    const id = toRequestId((await deployment.ask(order("M-5"))).body.auth_req_id);
    await deployment.ada.decide(id, "deny", { via: "everything&anything" });
    await deployment.request(`/requests/${id}?via=whatever`);
    await deployment.request("/nowhere/at/all");
    const { text } = await metrics.scrape();
    const values = [...text.matchAll(/(\w+)="([^"]*)"/g)].map(([, , found]) => found);
    assert.doesNotMatch(values.join(" "), /everything|whatever|nowhere/);
    assert.equal(
      await value('countersign_decisions_total{verdict="deny",level="session",channel="inbox"}'),
      1,
    );
  });
});

describe("/livez and /readyz", () => {
  test("return 200 while the server runs, and while the store is readable and no shutdown began", async () => {
    assert.equal((await deployment.request("/livez")).status, 200);
    assert.equal((await deployment.request("/readyz")).status, 200);
    deployment.server.beginShutdown();
    assert.equal((await deployment.request("/livez")).status, 200);
    const ending = await deployment.request("/readyz");
    assert.equal(ending.status, 503);
    assert.equal(ending.headers.get("retry-after"), "2");
  });
});
