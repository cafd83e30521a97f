import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openScene, type Scene } from "../harness/agent-context.ts";
import type { Approver } from "../harness/approver.ts";

let harness: Scene;
let priya: Approver;
let sam: Approver;

before(async () => {
  harness = await openScene({
    folder: new URL("./", import.meta.url),
    agent: { id: "release-agent", name: "Release agent", type: "promote_rollout" },
    api: { id: "deployer", of: "rollouts" },
    approvers: [
      { email: "priya@example.com", name: "Priya Nair" },
      { email: "sam@example.com", name: "Sam Okoro" },
    ],
  });
  [priya, sam] = harness.approvers as [Approver, Approver];
});
after(() => harness?.close());

function finding(job: string, rollout: string, more: object = {}) {
  const measured = { success_rate: "99.97 %", error_budget: "82 %", burn_rate: "0.4×" };
  return { job, service: "foo", rollout, environment: "prod", weight: 50, measured, ...more };
}

async function promotions(rollout: string) {
  return (await harness.listActions("/rollouts")).filter((promotion) => promotion.rollout === rollout);
}

test("only the owner of the service sees and decides the request, with the measurements on the card (T8)", async () => {
  const agent = harness.agent(finding("job-1", "foo-v2"), { holdCalls: true });
  const card = await priya.openCard("foo-v2");
  assert.equal(card.sentence, "Promote rollout “foo-v2” in “prod” to 50 % of the traffic of “foo”");
  assert.deepEqual(card.rows, {
    Rollout: "foo-v2",
    Environment: "prod",
    Traffic: "50 %",
    Service: "foo",
    "Success rate": "99.97 %",
    "Error budget left": "82 %",
    "Burn rate": "0.4×",
  });
  assert.match(card.words, /healthy for an hour/);
  const answer = await sam.page.goto(priya.page.url());
  assert.equal(answer?.status(), 404);
  await sam.page.goto(`${harness.issuer}/inbox`);
  await sam.page.getByRole("heading", { name: "You’re all caught up" }).waitFor();
  await priya.approve();

  const held = await agent.waitForCall();
  for (const changed of [{ weight: 100 }, { service: "bar" }, { environment: "staging" }]) {
    const { status, body } = await held.repeat(changed);
    assert.equal(status, 403, JSON.stringify(changed));
    assert.match(body, new RegExp(`not the action that was approved: ${Object.keys(changed)[0]}`));
  }
  assert.deepEqual(await promotions("foo-v2"), []);
  held.release();
  assert.equal((await agent.outcome()).outcome, "approved");
  assert.equal((await held.repeat()).status, 401);
  const promoted = { service: "foo", rollout: "foo-v2", environment: "prod", weight: 50 };
  assert.deepEqual(await promotions("foo-v2"), [promoted]);
  assert.ok(!held.body.includes("99.97"), "advisory fields are not in the call");
});

test("a denied rollout stays denied at any weight (T25)", async () => {
  const agent = harness.agent(finding("job-2", "foo-v3"));
  await priya.openCard("foo-v3");
  await priya.deny();
  assert.deepEqual(await agent.outcome(), { outcome: "denied" });
  for (const weight of [50, 1]) {
    const again = await harness.agent(finding(`job-3-${weight}`, "foo-v3", { weight })).outcome();
    assert.deepEqual([again.outcome, again.error], ["refused", "access_denied"]);
  }
  assert.deepEqual(await promotions("foo-v3"), []);
});

test("an undecided request expires and nothing is promoted (T26)", async () => {
  const agent = harness.agent(finding("job-4", "foo-v4", { answerWithinSeconds: 2 }));
  assert.deepEqual(await agent.outcome(), { outcome: "expired" });
  assert.deepEqual(await promotions("foo-v4"), []);
});

test("another worker resumes after a kill and promotes once (T21)", async () => {
  const first = harness.agent(finding("job-5", "foo-v5"));
  await first.waitForPoll();
  await first.end("SIGKILL");
  assert.ok(existsSync(join(harness.folder, "job-5.json")));
  await priya.openCard("foo-v5");
  await priya.approve();
  const second = harness.agent(finding("job-5", "foo-v5"));
  assert.equal((await second.outcome()).outcome, "approved");
  assert.ok(!second.responses.some(({ url }) => url.endsWith("/bc-authorize")), "no second request");
  assert.ok(!existsSync(join(harness.folder, "job-5.json")));
  assert.deepEqual(await harness.agent(finding("job-5", "foo-v5")).outcome(), { outcome: "lost" });
  assert.equal((await promotions("foo-v5")).length, 1);
});
