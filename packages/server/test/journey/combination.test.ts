/** Several details in one request: one card, one answer, one token, one spend. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { partsDigest, shortDigest } from "@countersign/protocol";
import { deploy, refund, toBasicAuth, toRequestId } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { decodeJwt } from "jose";
import { exportEvidence, exportLog, verifyEvidence, verifyLog } from "../../src/audit/audit.ts";
import { addAgent } from "../../src/usecase/client/client-lifecycle.ts";
import { releaseDenial } from "../../src/usecase/request/cancel.ts";

const combinable_with = ["refund", "signed-refund", "promote"];
/** Three actions that may be approved together, one of them with shorter lifetimes. */
const together = {
  actions: {
    refund: { combinable_with },
    "signed-refund": { combinable_with },
    promote: { combinable_with, lifetime: { default: 60, max: 90 }, token_lifetime: 20 },
  },
};
const promote = { type: "promote", service: "foo" };

const deployment = useDeployment({ config: together, approvers: ["ada", "bob"] });

function send(details: readonly object[], changed: Record<string, string> = {}) {
  return deployment.ask({
    authorization_details: JSON.stringify(details),
    login_hint: "owner",
    ...changed,
  });
}

async function ask(details: readonly object[], changed: Record<string, string> = {}) {
  const answer = await send(details, changed);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  const authReqId = answer.body.auth_req_id as string;
  return { ticket: authReqId, id: toRequestId(authReqId) };
}

async function approved(id: string) {
  return (await deployment.server.store.read("request", id))!.record;
}

async function refusal(details: readonly object[], changed: Record<string, string> = {}): Promise<string> {
  const { status, body } = await send(details, changed);
  assert.ok(status >= 400 && status < 500, JSON.stringify(body));
  return `${body.error}: ${body.error_description}`;
}

describe("several authorization details", () => {
  test("creates one request with one decision, one token and one spend", async () => {
    const details = [
      { ...refund, order: "B-1" },
      { ...promote },
      { ...refund, order: "B-2", amount: "1.00" },
    ];
    const { ticket: authReqId, id } = await ask(details);
    const { card, parts, digest } = await approved(id);
    assert.ok(card.v === 2);
    const page = await (await deployment.ada.get(`/requests/${id}`)).text();
    for (const text of [
      "3 actions, one decision",
      "1 of 3",
      "3 of 3",
      "B-1",
      "B-2",
      "foo",
      shortDigest(digest),
    ])
      assert.ok(page.includes(text), text);
    assert.equal((await deployment.ada.decide(id, "approve")).status, 303);

    const { status, body } = await deployment.poll(authReqId);
    assert.equal(status, 200);
    assert.deepEqual(body.authorization_details, details);
    const claims = decodeJwt(body.access_token);
    assert.deepEqual(claims.authorization_details, details);
    assert.equal(claims.act_type_hash, undefined);
    const hashes = claims.act_type_hashes as string[];
    assert.deepEqual(
      hashes,
      parts.map(({ typeHash }) => typeHash),
    );
    const stated = details.map(({ type, ...bound }, at) => ({ type, typeHash: hashes[at]!, bound }));
    assert.equal(claims.act_digest, partsDigest("https://refunds.example", stated));
    assert.equal((await deployment.poll(authReqId)).body.error, "invalid_grant");

    const introspected = await deployment.post(
      "/introspect",
      { token: body.access_token },
      toBasicAuth(deployment.api),
    );
    assert.deepEqual(introspected.body.authorization_details, details);
    assert.deepEqual(introspected.body.act_type_hashes, hashes);
    assert.equal(introspected.body.act_type_hash, undefined);
    const spend = { token: body.access_token, spend_id: "s".repeat(22) };
    const one = partsDigest("https://refunds.example", stated.slice(0, 1));
    assert.equal(
      (await deployment.spend({ ...spend, operation: "reserve", act_digest: one })).body.error,
      "digest_mismatch",
    );
    const reserved = await deployment.spend({
      ...spend,
      operation: "reserve",
      act_digest: claims.act_digest as string,
    });
    assert.deepEqual(reserved.body.authorization_details, details);
    assert.equal((await deployment.spend({ ...spend, operation: "complete" })).body.state, "completed");
  });

  test("combines types only if each of them permits the other", async () => {
    const apart = "cannot be combined";
    assert.equal(
      await refusal([refund, { ...refund, type: "fresh-refund", order: "B-3" }]),
      `invalid_authorization_details: $[1] must be requested separately: 'refund' and 'fresh-refund' ${apart}`,
    );
    const fresh = { ...refund, type: "fresh-refund" };
    assert.equal(
      await refusal([fresh, { ...fresh, order: "B-4" }]),
      `invalid_authorization_details: $[1] must be requested separately: two of 'fresh-refund' ${apart}`,
    );
    assert.match(
      await refusal([refund, { type: "calendar.clear" }]),
      /^invalid_authorization_details: \$\[1\]\.type/,
    );
    assert.match(
      await refusal([refund, promote], { scope: "openid calendar.clear" }),
      /^invalid_authorization_details: one request is one action/,
    );
  });

  test("validates each detail like a single one, and names the rejected one", async () => {
    const cases: [readonly object[], RegExp][] = [
      [[promote, { ...refund, hidden: 1 }], /\$\[1\]\.hidden is not declared/],
      [[promote, { ...refund, currency: "XXX" }], /\$\[1\]\.currency /],
      [[promote, { ...refund, order: "A\u200b" }], /\$\[1\]\.order contains an invisible/],
      [[promote, refund, { ...refund }], /\$\[2\] equals an earlier detail/],
      [
        [promote, { ...refund, reason: "One." }, { ...refund, reason: "Two." }],
        /\$\[2\] equals an earlier detail/,
      ],
      [[promote, 1 as unknown as object], /\$\[1\] must be an object/],
      [[], /contains 0 details; a request has 1 to 10/],
      [
        Array.from({ length: 11 }, (_, at) => ({ ...refund, order: `M-${at}` })),
        /contains 11 details; a request has 1 to 10/,
      ],
    ];
    for (const [details, why] of cases) {
      const said = await refusal(details);
      assert.match(said, /^invalid_authorization_details: /);
      assert.match(said, why);
    }
    assert.deepEqual(await deployment.server.store.listRequests({ state: "pending", limit: 9 }), []);
  });

  test("notifies only approvers who may decide every part; rejects the request if there are none", async () => {
    const { id } = await ask([{ ...refund, order: "B-5" }, promote]);
    assert.deepEqual((await approved(id)).candidates, [deployment.ada.approver]);
    assert.equal((await deployment.bob.get(`/requests/${id}`)).status, 404);
    const details = [{ ...refund, order: "B-5" }, promote];
    assert.match(await refusal(details, { login_hint: "bob@example.com" }), /^unknown_user_id/);
    assert.equal(
      await refusal([promote, { ...promote, service: "bar" }]),
      "access_denied: no approver may decide all parts of this request",
    );
    await deployment.ada.decide(id, "deny");
  });

  test("applies the strictest level, the shortest expiry and the shortest token lifetime", async () => {
    const details = [
      { ...refund, type: "signed-refund", order: "B-6" },
      { ...promote, service: "foo" },
    ];
    await reopenAll();
    const { ticket: authReqId, id } = await ask(details);
    const { level, createdAt, expiresAt, tokenLifetimeSeconds, card } = await approved(id);
    assert.deepEqual(
      [level, expiresAt - createdAt, tokenLifetimeSeconds, card.reversibility],
      ["passkey-signed", 60_000, 20, "irreversible"],
    );
    const longer = await ask([{ ...refund, order: "B-7" }, promote], { requested_expiry: "600" });
    const { createdAt: from, expiresAt: to } = await approved(longer.id);
    assert.equal(to - from, 90_000);
    const unsigned = await deployment.ada.decide(id, "approve", { assertion: "" });
    assert.notEqual(unsigned.status, 303);
    assert.equal((await deployment.ada.decide(id, "approve")).status, 303);
    assert.equal((await deployment.poll(authReqId)).body.expires_in, 20);
    await deployment.ada.decide(longer.id, "deny");
  });

  test("rejects all details if the agent is not registered for one of the types", async () => {
    const added = await addAgent(deployment.server.store, {
      id: "agent-2",
      name: "Half an agent",
      types: ["refund"],
      credential: { method: "client_secret_basic" },
    });
    assert.ok(!("refused" in added));
    const answer = await deployment.ask(
      { authorization_details: JSON.stringify([refund, promote]), login_hint: "owner" },
      toBasicAuth({ id: "agent-2", secret: added.secret ?? "" }),
    );
    assert.equal(answer.body.error, "invalid_authorization_details");
    assert.match(answer.body.error_description, /not registered for the action type promote/);
  });

  test("joins a pending request with the same details in the same order only", async () => {
    await reopenAll();
    const details = [{ ...refund, order: "B-8" }, promote];
    const first = await ask(details);
    assert.equal((await ask(details)).ticket, first.ticket);
    const turned = await ask(details.toReversed());
    assert.notEqual(turned.ticket, first.ticket);
    assert.notEqual((await approved(turned.id)).digest, (await approved(first.id)).digest);
    const keyed = { "idempotency-key": "b-8" };
    const asText = (list: readonly object[]) => ({
      authorization_details: JSON.stringify(list),
      login_hint: "owner",
    });
    assert.equal((await deployment.ask(asText(details), keyed)).body.auth_req_id, first.ticket);
    assert.equal((await deployment.ask(asText(details.toReversed()), keyed)).body.error, "invalid_request");
    await deployment.ada.decide(first.id, "deny");
    assert.equal((await deployment.ada.decide(turned.id, "approve")).status, 409);
  });

  test("blocks each detail of a denied request, alone and in any combination (T25)", async () => {
    await reopenAll();
    const { ticket: authReqId, id } = await ask([
      { ...refund, order: "B-10" },
      { ...refund, order: "B-11" },
      { ...refund, order: "B-10", amount: "5.00" },
    ]);
    await deployment.ada.decide(id, "deny");
    assert.equal((await deployment.poll(authReqId)).body.error, "access_denied");
    const latches = await deployment.server.store.list("denial");
    assert.deepEqual(latches.map(({ record }) => record.fields.order).sort(), ["B-10", "B-11"]);
    for (const order of ["B-10", "B-11"]) {
      assert.match(
        await refusal([{ ...refund, order, amount: "1.00" }]),
        /^access_denied: a person has denied/,
      );
      assert.match(await refusal([promote, { ...refund, order }]), /^access_denied: a person has denied/);
    }
    const other = await ask([{ ...refund, order: "B-12" }]);
    await deployment.ada.decide(other.id, "deny");
    assert.match(await refusal([promote, { ...refund, order: "B-12" }]), /^access_denied/);
    const { store } = deployment.server;
    assert.equal(await releaseDenial(store, id), "done", "by the request's id, all that its denial has left");
    assert.deepEqual(
      (await store.list("denial")).map(({ record }) => record.fields.order),
      ["B-12"],
    );
    assert.deepEqual(await releaseDenial(store, id), { refused: "unknown" });
    assert.equal(await releaseDenial(store, (await store.list("denial"))[0]!.record.id), "done");
    assert.equal((await send([promote, { ...refund, order: "B-10" }])).status, 200);
  });

  test("blocks approval and redemption of combinations with a denied detail (T25)", async () => {
    await reopenAll();
    const waiting = await ask([{ ...refund, order: "B-13" }, promote]);
    const given = await ask([
      { ...refund, order: "B-14" },
      { ...refund, order: "B-13", amount: "2.00" },
    ]);
    const single = await ask([{ ...refund, order: "B-13", amount: "3.00" }]);
    assert.equal((await deployment.ada.decide(given.id, "approve")).status, 303);
    await deployment.ada.decide(single.id, "deny");
    assert.match(
      await (await deployment.ada.get(`/requests/${waiting.id}`)).text(),
      /was denied in another request/,
    );
    assert.equal((await deployment.ada.decide(waiting.id, "approve")).status, 409);
    assert.equal((await deployment.poll(given.ticket)).body.error, "access_denied");
  });

  test("accepts only one of a concurrent approval of several and denial of one (T24)", async () => {
    await reopenAll();
    for (let round = 0; round < 10; round += 1) {
      const order = `B-15-${round}`;
      const several = await ask([
        { ...refund, order: `${order}-a` },
        { ...refund, order },
      ]);
      const single = await ask([{ ...refund, order, amount: "1.00" }]);
      await Promise.all([
        deployment.ada.decide(several.id, "approve"),
        deployment.bob.decide(single.id, "deny"),
      ]);
      assert.notEqual((await deployment.poll(several.ticket)).status, 200);
    }
  });

  test("applies the stricter of the old and the new rules to every part", async (t) => {
    const changing = await deploy({ config: together });
    t.after(() => changing.close());
    const person = await changing.enrol("ada@example.com");
    const details = JSON.stringify([{ ...refund, order: "C-1" }, promote]);
    const asked = await changing.ask({ authorization_details: details, login_hint: "owner" });
    const authReqId = asked.body.auth_req_id as string;
    const id = toRequestId(authReqId);
    const pinned = (await changing.server.store.read("request", id))!.record;

    // Another sentence of one type: the request keeps the definition that it was asked under, which stays readable.
    const reworded = { actions: { promote: { display: { sentence: "Promote the service {service}" } } } };
    await changing.restart(reworded);
    assert.match(await (await person.get(`/requests/${id}`)).text(), /Promote <strong/);
    for (const { type, typeHash } of pinned.parts) {
      const published = await (await changing.request(`/action-types/${typeHash}`)).json();
      assert.equal(published.hash, typeHash);
      assert.equal(published.definition.type, type);
    }
    const joinable = (await (await changing.request("/action-types")).json()).action_types;
    const names = joinable.find(({ definition }: any) => definition.type === "promote").combinable_with;
    assert.deepEqual(names, ["refund", "signed-refund", "promote"]);

    // One part needs more, is nobody's here, is gone, or may not be together with the other any more.
    const stricter = { actions: { promote: { level: "passkey-signed" } } };
    const others = { actions: { promote: { approvers: { owner: { of: { foo: "bob@example.com" } } } } } };
    const alone = {
      actions: {
        refund: { combinable_with: undefined },
        "signed-refund": { combinable_with: undefined },
        promote: { combinable_with: undefined, lifetime: undefined, token_lifetime: undefined },
      },
    };
    for (const edit of [others, alone]) {
      await changing.restart(edit);
      assert.equal((await person.decide(id, "approve")).status, 409, JSON.stringify(edit));
    }
    await changing.restart(stricter);
    assert.equal((await person.decide(id, "approve", { assertion: "" })).status, 409);
    await changing.restart(reworded);
    assert.equal((await person.decide(id, "approve")).status, 303);
    for (const edit of [stricter, others, alone]) {
      await changing.restart(edit);
      assert.equal((await changing.poll(authReqId)).body.error, "access_denied", JSON.stringify(edit));
    }
    await changing.restart(reworded);
    const granted = await changing.poll(authReqId);
    assert.equal(granted.status, 200);
    assert.deepEqual(
      decodeJwt(granted.body.access_token).act_type_hashes,
      pinned.parts.map(({ typeHash }) => typeHash),
    );
    assert.deepEqual(changing.faults, []);
  });

  test("logs every type, and the evidence shows each detail", async () => {
    await reopenAll();
    const { id } = await ask([{ ...refund, type: "signed-refund", order: "B-16" }, promote]);
    await deployment.ada.decide(id, "approve");
    await refusal([{ ...refund, order: "B-17" }, promote], { resource: "https://elsewhere.example" });
    await deployment.server.runJobs();
    const { store, keyring } = deployment.server;
    const key = keyring.logKey;
    assert.ok("ok" in (await verifyLog(exportLog(store.log, key), { key })));
    const evidence = await verifyEvidence((await exportEvidence(store.log, key, id)) as string, { key });
    assert.ok("ok" in evidence, JSON.stringify(evidence));
    assert.equal(evidence.decision?.signed, true);
    const created = evidence.entries.find(({ entry }) => entry.event === "request.created")!;
    const { parts } = await approved(id);
    assert.deepEqual(created.entry.facts?.types, ["signed-refund", "promote"]);
    assert.deepEqual(
      created.entry.facts?.type_hashes,
      parts.map(({ typeHash }) => typeHash),
    );
    assert.match(
      created.texts.sentence!.text,
      /^2 actions, one decision: \(1\) Refund .*; \(2\) Promote “foo”$/,
    );
    assert.deepEqual(
      (evidence.card?.parts as { type: string }[] | undefined)?.map(({ type }) => type),
      ["signed-refund", "promote"],
    );
    const alone = await ask([{ ...refund, order: "B-18" }]);
    const entries = await store.log.newest(5, alone.id);
    const facts = JSON.parse(entries.at(-1)!.line).facts;
    assert.equal(facts.type, "refund");
    assert.deepEqual(
      [typeof facts.type_hash, facts.types, facts.type_hashes],
      ["string", undefined, undefined],
    );
  });

  test("rejects details that do not fit into a token, and returns the limit", async (t) => {
    const schema = { properties: { order: { maxLength: 4000 }, reason: { maxLength: 4000 } } };
    const { actions } = together;
    const wide = await deploy({
      config: { actions: { ...actions, refund: { ...actions.refund, schema } } },
    });
    t.after(() => wide.close());
    await wide.enrol("ada@example.com");
    const askWide = async (details: readonly object[]) => {
      const answer = await wide.ask({ authorization_details: JSON.stringify(details) });
      return answer.body.error_description as string | undefined;
    };
    const order = (at: number) => `${at}${"A".repeat(3900)}`;
    assert.equal(await askWide([0, 1].map((at) => ({ ...refund, order: order(at) }))), undefined);
    const three = await askWide([0, 1, 2].map((at) => ({ ...refund, order: order(at) })));
    assert.match(three ?? "", /^\$ has 1\d{4} bytes of bound fields; a token can contain 8192$/);
    const reason = "B".repeat(3900);
    const wordy = Array.from({ length: 9 }, (_, at) => ({ ...refund, order: `${at}`, reason }));
    assert.equal(await askWide(wordy), "$ is longer than 32768 bytes");
    assert.deepEqual(wide.faults, []);
  });
});

async function reopenAll() {
  const { store } = deployment.server;
  for (const { record } of await store.list("denial")) await releaseDenial(store, record.id);
}
