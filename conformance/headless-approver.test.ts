import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { describe, test } from "node:test";
import { call } from "./call.ts";
import { readPlan } from "./plan.ts";
import { openTestServer } from "./test-server.ts";

const world = await openTestServer({ reopen_denials: true });

const agent = () => world.agent("agent");
const urlFor = (authReqId: string, action = "") =>
  world.headless.url.replace("{auth_req_id}", authReqId).replace("{action}", action);

describe("headless approver", () => {
  test("approves or denies once on POST, and the audit log has all events of the request", async () => {
    const allowed = await world.asked(agent());
    const said = await call(urlFor(allowed, "allow"), { method: "POST" });
    assert.deepEqual([said.status, said.body.action], [200, "allow"]);
    assert.equal((await world.poll(agent(), allowed)).status, 200);
    assert.equal((await call(urlFor(allowed, "allow"), { method: "POST" })).status, 409);

    const denied = await world.asked(agent());
    assert.equal((await call(urlFor(denied, "deny"), { method: "POST" })).status, 200);
    assert.equal((await world.poll(agent(), denied)).body.error, "access_denied");
  });

  test("returns the card on GET, and decides nothing", async () => {
    const details = world.refund({ reason: "broken on arrival" });
    const authReqId = await world.asked(agent(), {
      authorization_details: details,
      binding_message: "Ticket 55",
    });
    const { status, body } = await call(urlFor(authReqId, "allow"));
    assert.equal(status, 200);
    const page = await world.call(`/requests/${body.request}`);
    assert.equal(page.status, 303, "the card itself is for who is signed in");
    const [{ order }] = JSON.parse(details);
    assert.equal(body.sentence, `Refund €120.00 for order “${order}”`);
    assert.deepEqual(body.rows, [
      { label: "Amount", value: "€120.00" },
      { label: "Order", value: order },
    ]);
    assert.deepEqual(
      [body.message, body.words],
      ["Ticket 55", [{ label: "Reason given", value: "broken on arrival" }]],
    );
    assert.deepEqual(body.agent, { id: "agent", name: "agent" });
    assert.equal(body.time_left, 115);
    world.advanceClock(5000);
    assert.equal((await call(urlFor(authReqId))).body.time_left, 110);
    assert.equal((await world.poll(agent(), authReqId)).body.error, "authorization_pending");
  });

  test("returns 404 for any path but the secret one", async () => {
    const authReqId = await world.asked(agent());
    const url = urlFor(authReqId, "allow");
    const { origin, pathname, search } = new URL(url);
    for (const path of ["/", `${pathname}x`, `/${"A".repeat(pathname.length - 1)}`, `${pathname}/`, ""])
      for (const method of ["POST", "GET"]) {
        const answer = await call(`${origin}${path}${search}`, { method });
        assert.deepEqual([answer.status, answer.body.error], [404, "not_found"], path);
      }
    assert.equal((await world.poll(agent(), authReqId)).body.error, "authorization_pending");
  });

  test("sends the secret in no response to an agent (T1)", async () => {
    const secret = new URL(world.headless.url).pathname.slice(1);
    assert.ok(Buffer.from(secret, "base64url").length >= 32);
    const seen = [
      await world.ask(agent()),
      await world.call("/.well-known/openid-configuration"),
      await world.approved(agent()),
    ];
    for (const { text, headers } of seen) assert.ok(!`${text}${JSON.stringify(headers)}`.includes(secret));
  });

  test("cannot approve if a signature or a fresh passkey is required", async () => {
    world.advanceClock(6 * 60_000);
    for (const [scope, why] of [
      ["calendar.close", /signature/],
      ["calendar.leave", /used just now/],
    ] as const) {
      const authReqId = await world.asked(agent(), { scope: `openid ${scope}` });
      const said = await call(urlFor(authReqId, "allow"), { method: "POST" });
      assert.equal(said.status, 409);
      assert.match(said.body.error_description, why);
      assert.equal((await world.poll(agent(), authReqId)).body.error, "authorization_pending");
      assert.equal((await call(urlFor(authReqId, "deny"), { method: "POST" })).status, 200);
    }
  });

  test("listens on loopback only, whatever the plan contains", async () => {
    assert.equal(world.headless.address, "127.0.0.1");
    assert.throws(() => readPlan({ headless_host: "0.0.0.0" }), /headless_host/);
    const { port } = new URL(world.headless.url);
    const outside = Object.values(networkInterfaces())
      .flat()
      .find((one) => one?.family === "IPv4" && !one.internal);
    if (outside) await assert.rejects(call(`http://${outside.address}:${port}/`));
  });

  test("marks its invitation, device and decisions as test in the audit log, and no others", async () => {
    const authReqId = await world.asked(agent());
    await world.allow(authReqId);
    const entries = (await world.store.log.newest(1000)).map(({ line }) => JSON.parse(line));
    const enrolled = entries.filter(({ event }) => event === "device.enrolled");
    assert.deepEqual(
      enrolled.map(({ facts }) => facts.test),
      [true],
    );
    // An operator's invitation of the same person is not marked as test.
    const invited = entries.filter(({ event }) => event === "approver.invited");
    assert.deepEqual(
      invited.map(({ facts }) => facts?.test),
      [true, undefined],
    );
    const decisions = entries.filter(({ event }) => ["request.approved", "request.denied"].includes(event));
    assert.ok(decisions.length > 0);
    for (const { facts } of decisions) assert.equal(facts.test, true);
    for (const { event, facts } of entries)
      if (event === "request.created") assert.equal(facts.test, undefined);
  });

  test("rejects unknown requests and unknown actions", async () => {
    const authReqId = await world.asked(agent());
    const answers = [
      [urlFor("req_unknown.x", "allow"), 404],
      [urlFor("", "allow"), 404],
      [urlFor(authReqId, "approve"), 400],
      [urlFor(authReqId, ""), 400],
    ] as const;
    for (const [url, status] of answers) assert.equal((await call(url, { method: "POST" })).status, status);
    assert.equal((await call(urlFor(authReqId, "allow"), { method: "PUT" })).status, 405);
  });

  test("releases its denials if the plan requires it, and the audit log records it", async () => {
    const details = { authorization_details: world.refund() };
    await world.deny(await world.asked(agent(), details));
    assert.equal((await world.ask(agent(), details)).status, 200);
    const [newest] = (await world.store.log.newest(1000))
      .map(({ line }) => JSON.parse(line))
      .filter(({ event }) => event === "denial.released");
    assert.ok(newest);
  });

  test("is contained in no package", () => {
    for (const name of ["server", "agent", "verifier", "protocol"]) {
      const { exports = {}, files = [] } = JSON.parse(readFileSync(`packages/${name}/package.json`, "utf8"));
      assert.ok(!JSON.stringify([exports, files]).includes("conformance"));
    }
  });
});
