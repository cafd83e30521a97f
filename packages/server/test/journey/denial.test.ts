import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { deploy, issuer, refund, toRequestId } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";

const deployment = useDeployment({ approvers: ["ada", "bob"] });

async function ask(
  action: object,
  changed: Record<string, string> = {},
  headers: Record<string, string> = {},
) {
  const answer = await deployment.ask(
    { authorization_details: JSON.stringify([action]), ...changed },
    headers,
  );
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return { authReqId: answer.body.auth_req_id as string, id: toRequestId(answer.body.auth_req_id) };
}

describe("denial", () => {
  test("blocks the approval of a pending request for the same order under other terms (T25)", async () => {
    const [large, small] = [
      await ask({ ...refund, order: "L-1" }),
      await ask({ ...refund, order: "L-1", amount: "1.00" }),
    ];
    await deployment.ada.decide(large.id, "deny");
    assert.match(
      await (await deployment.ada.get(`/requests/${small.id}`)).text(),
      /was denied in another request/,
    );
    assert.equal((await deployment.ada.decide(small.id, "approve")).status, 409);
    assert.equal((await deployment.poll(small.authReqId)).body.error, "authorization_pending");
    assert.equal((await deployment.ada.decide(small.id, "deny")).status, 303);
  });

  test("blocks the redemption of an approved request for the same order (T25)", async () => {
    const [large, small] = [
      await ask({ ...refund, order: "L-2" }),
      await ask({ ...refund, order: "L-2", amount: "1.00" }),
    ];
    await deployment.ada.decide(small.id, "approve");
    await deployment.ada.decide(large.id, "deny");
    assert.equal((await deployment.poll(small.authReqId)).body.error, "access_denied");
  });

  test("never succeeds together with a concurrent approval of the same order (T25)", async () => {
    for (let round = 0; round < 10; round += 1) {
      const order = `L-3-${round}`;
      const [one, other] = [await ask({ ...refund, order }), await ask({ ...refund, order, amount: "1.00" })];
      await Promise.all([deployment.ada.decide(one.id, "approve"), deployment.ada.decide(other.id, "deny")]);
      const polled = await deployment.poll(one.authReqId);
      assert.notEqual(
        polled.status,
        200,
        "the denial was committed first or second; no token comes after it",
      );
    }
  });
});

describe("POST /bc-authorize", () => {
  test("creates one pending request per action, whatever the addressee (T31)", async () => {
    const action = { ...refund, order: "L-4" };
    const first = await ask(action, { login_hint: "owner" });
    for (const login_hint of ["ada@example.com", "bob@example.com", "owner"])
      assert.equal((await ask(action, { login_hint })).authReqId, first.authReqId);
    assert.equal(
      (await (await deployment.bob.get("/inbox")).text()).split(`/requests/${first.id}`).length,
      2,
    );
  });

  test("creates a new request if it needs a higher level than the pending one", async () => {
    const action = { ...refund, order: "L-5" };
    const first = await ask(action);
    const second = await ask(action, { acr_values: "urn:countersign:acr:passkey-signed" });
    assert.notEqual(second.authReqId, first.authReqId);
    assert.equal((await deployment.server.store.read("request", second.id))?.record.level, "passkey-signed");
  });

  test("returns the denial and its reason for the same Idempotency-Key, also after enrolments", async () => {
    const action = { ...refund, order: "L-6" };
    const key = { "idempotency-key": "l-6" };
    const first = await ask(action, { login_hint: "owner" }, key);
    await deployment.enrol("carol@example.com");
    assert.equal((await ask(action, { login_hint: "owner" }, key)).authReqId, first.authReqId);
    await deployment.ada.decide(first.id, "deny", { reason: "No" });
    const again = await ask(action, { login_hint: "owner" }, key);
    assert.equal(again.authReqId, first.authReqId);
    assert.equal((await deployment.poll(again.authReqId)).body.denial_reason, "No");
    assert.equal(
      (await deployment.ask({ authorization_details: JSON.stringify([action]) })).body.error,
      "access_denied",
    );
  });

  test("rejects an e-mail address that only looks like that of an approver (T32)", async (t) => {
    const answer = await deployment.ask({ login_hint: "ada@example.com".replace("a", "\u00e5") });
    assert.notEqual(answer.status, 200);
    const kelvin = await deploy({ config: { groups: { finance: ["ada@example.com", "kim@example.com"] } } });
    t.after(() => kelvin.close());
    await kelvin.enrol("kim@example.com");
    assert.equal((await kelvin.ask({ login_hint: "\u212Aim@example.com" })).body.error, "unknown_user_id");
    assert.equal((await kelvin.ask({ login_hint: "KIM@example.com" })).status, 200);
  });
});

describe("changes during a request", () => {
  test("rejects the redemption of an approval if the rules now require a higher level", async (t) => {
    const changing = await deploy();
    t.after(() => changing.close());
    const person = await changing.enrol("ada@example.com");
    const asked = await changing.ask();
    await person.decide(toRequestId(asked.body.auth_req_id), "approve");
    await changing.restart({ actions: { refund: { level: "passkey-signed" } } });
    assert.equal((await changing.poll(asked.body.auth_req_id)).body.error, "access_denied");
    await changing.restart({ groups: { finance: ["bob@example.com"] } });
    assert.equal((await changing.poll(asked.body.auth_req_id)).body.error, "access_denied");
    await changing.restart();
    assert.equal(
      (await changing.poll(asked.body.auth_req_id)).status,
      200,
      "and is once they do not any more",
    );
  });

  test("rejects one of two concurrent removals of the last two devices", async () => {
    const { removeOwnDevice } = await import("../../src/usecase/people/remove-approver.ts");
    const first = await deployment.enrol("dora@example.com");
    const second = await deployment.enrol("dora@example.com");
    const { store } = deployment.server;
    const approver = (await store.read("approver", first.approver))!.record;
    const answers = await Promise.all(
      [first, second].map(({ passkey }) => removeOwnDevice(store, approver, passkey.id)),
    );
    assert.equal(answers.filter((answer) => answer === "removed").length, 1);
    assert.equal((await store.listDevicesOf(approver.id)).length, 1);
  });

  test("signs out a removed approver, who is neither notified nor able to decide", async (t) => {
    const { removeApprover } = await import("../../src/usecase/people/remove-approver.ts");
    const leaving = await deploy();
    t.after(() => leaving.close());
    const person = await leaving.enrol("bob@example.com");
    const asked = await leaving.ask({ login_hint: "bob@example.com" });
    const id = toRequestId(asked.body.auth_req_id);
    await removeApprover(leaving.server, "bob@example.com");
    assert.equal((await person.get(`/requests/${id}`)).status, 303);
    assert.equal((await leaving.ask({ login_hint: "bob@example.com" })).body.error, "unknown_user_id");
  });
});

describe("GET /inbox/events", () => {
  test("sends an event for each new request, and none after sign-out", async () => {
    const eve = await deployment.enrol("ada@example.com");
    const stream = (
      await deployment.request("/inbox/events", { headers: { cookie: eve.cookie } })
    ).body!.getReader();
    const decoder = new TextDecoder();
    const next = async () => decoder.decode((await stream.read()).value);
    assert.match(await next(), /retry/);
    await ask({ ...refund, order: "L-7" });
    assert.match(await next(), /event: inbox/);
    const page = await (await eve.get("/devices")).text();
    const csrf = /name="csrf" value="([^"]+)"/.exec(page)?.[1] ?? "";
    const headers = { cookie: eve.cookie, origin: issuer };
    await deployment.request("/sign-out", { method: "POST", headers, body: new URLSearchParams({ csrf }) });
    await ask({ ...refund, order: "L-8" });
    assert.equal((await stream.read()).done, true);
  });

  test("ends the stream and reports a fault if the store cannot be read", async () => {
    const eve = await deployment.enrol("ada@example.com");
    const stream = (
      await deployment.request("/inbox/events", { headers: { cookie: eve.cookie } })
    ).body!.getReader();
    await stream.read();
    const { store } = deployment.server;
    const { read } = store;
    store.read = ((kind: "session", id: string) => {
      if (kind === "session") throw new Error("the disk refused to read");
      return read(kind, id);
    }) as typeof read;
    await ask({ ...refund, order: "L-9" });
    assert.equal((await stream.read()).done, true);
    store.read = read;
    assert.deepEqual(deployment.faultOperations, ["GET /inbox/events"]);
    deployment.faults.length = 0;
  });
});
