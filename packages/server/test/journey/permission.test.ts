/** The permission check: relations of the configuration, AuthZEN and OpenFGA, when something is asked and when it is approved. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type DecisionPoint, startAuthzen, startOpenFga } from "@countersign/testing/server/decision-point";
import {
  type Deployment,
  deploy,
  refund,
  sampleConfig,
  toRequestId,
} from "@countersign/testing/server/deployment";
import { type ConfigEdit, editConfig, formatConfig } from "@countersign/testing/server/edit-config";
import { formatProblem, parseConfig } from "../../src/config/config.ts";

const folder = mkdtempSync(join(tmpdir(), "countersign-permission-"));
writeFileSync(join(folder, "token"), "let-me-ask\n");
after(() => rmSync(folder, { recursive: true }));

const euros = (order: string) => ({
  authorization_details: JSON.stringify([{ ...refund, order, currency: "EUR" }]),
});
const dollars = (order: string) => ({ authorization_details: JSON.stringify([{ ...refund, order }]) });
const anybody = { login_hint: "owner" };

async function withDeployment(
  permission: ConfigEdit,
  play: (deployment: Deployment) => Promise<void>,
): Promise<void> {
  const deployment = await deploy({ config: { permission } });
  try {
    await play(deployment);
  } finally {
    await deployment.close();
  }
}

async function candidatesOf(deployment: Deployment, authReqId: string): Promise<readonly string[]> {
  const held = await deployment.server.store.read("request", toRequestId(authReqId));
  const people = await Promise.all(
    (held?.record.candidates ?? []).map((id) => deployment.server.store.read("approver", id)),
  );
  return people.map((person) => person?.record.email ?? "");
}

async function refusals(deployment: Deployment): Promise<unknown[]> {
  const entries = (await deployment.server.store.log.newest(100)).map(({ line }) => JSON.parse(line));
  return entries
    .filter(({ event }) => event === "request.refused")
    .map(({ facts }) => facts)
    .reverse();
}

const bobForEuros = { people: ["bob@example.com"], types: ["refund"], where: { currency: ["EUR"] } };
const relations = {
  relations: {
    agents: [{ agents: ["agent-1"], types: ["refund"], of: { groups: ["finance"] } }],
    approvers: [{ people: ["ada@example.com"], types: ["refund"] }, bobForEuros],
  },
};

describe("permission: relations", () => {
  test("selects only approvers whom both sides allow for this type and these values", () =>
    withDeployment(relations, async (deployment) => {
      await deployment.enrol("ada@example.com");
      await deployment.enrol("bob@example.com");
      const both = await deployment.ask({ ...euros("R-1"), ...anybody });
      assert.deepEqual(await candidatesOf(deployment, both.body.auth_req_id), [
        "ada@example.com",
        "bob@example.com",
      ]);
      const one = await deployment.ask({ ...dollars("R-2"), ...anybody });
      assert.deepEqual(await candidatesOf(deployment, one.body.auth_req_id), ["ada@example.com"]);
    }));

  test("rejects an approver whom only the action type allows, and names the stage (T8)", () =>
    withDeployment(relations, async (deployment) => {
      await deployment.enrol("bob@example.com");
      const answer = await deployment.ask({ ...dollars("R-3"), login_hint: "bob@example.com" });
      assert.deepEqual(
        [answer.status, answer.body.error, answer.body.stage],
        [403, "access_denied", "permission"],
      );
      const other = await deployment.ask({
        authorization_details: undefined,
        scope: "openid calendar.clear",
      });
      assert.deepEqual([other.status, other.body.stage], [403, "permission"]);
      assert.deepEqual(await refusals(deployment), [
        { error: "access_denied", stage: "permission" },
        { error: "access_denied", stage: "permission" },
      ]);
    }));

  test("names the stage: registration, approver_policy or permission; none if invalid", () =>
    withDeployment(relations, async (deployment) => {
      await deployment.registerAgent("agent-2", {
        authorization_details_types: ["promote"],
        scope: "openid",
      });
      const { secret } = await deployment.registerAgent("agent-3", {
        authorization_details_types: ["promote"],
        scope: "openid",
      });
      const asThree = { authorization: `Basic ${btoa(`agent-3:${secret}`)}` };
      const unregistered = await deployment.ask(dollars("R-4"), asThree);
      assert.deepEqual(
        [unregistered.body.error, unregistered.body.stage],
        ["invalid_authorization_details", "registration"],
      );
      const nobody = await deployment.ask({ ...dollars("R-5"), login_hint: "mallory@example.com" });
      assert.deepEqual([nobody.body.error, nobody.body.stage], ["unknown_user_id", "approver_policy"]);
      const broken = await deployment.ask({ authorization_details: "[" });
      assert.deepEqual([broken.body.error, broken.body.stage], ["invalid_authorization_details", undefined]);
    }));

  test("applies stricter relations to pending and to approved requests", async (t) => {
    const deployment = await deploy({ config: { permission: relations } });
    t.after(() => deployment.close());
    const ada = await deployment.enrol("ada@example.com");
    const waits = await deployment.ask(dollars("R-6"));
    const approved = await deployment.ask(dollars("R-7"));
    await ada.decide(toRequestId(approved.body.auth_req_id), "approve");
    await deployment.restart({
      permission: {
        relations: { approvers: [{ people: ["bob@example.com"], types: ["refund"] }, bobForEuros] },
      },
    });
    const page = await ada.decide(toRequestId(waits.body.auth_req_id), "approve");
    assert.equal(page.status, 409);
    assert.match(await page.text(), /you can no longer approve this request/);
    assert.equal((await deployment.poll(approved.body.auth_req_id)).body.error, "access_denied");
  });
});

/** A deployment that asks a decision point, both closed afterwards. */
async function withPoint(
  point: DecisionPoint,
  settings: ConfigEdit,
  play: (deployment: Deployment) => Promise<void>,
): Promise<void> {
  try {
    await withDeployment(settings, play);
  } finally {
    await point.close();
  }
}

describe("permission: AuthZEN", () => {
  for (const batch of [false, true])
    test(`checks each approver${batch ? " in one batch" : ""}, and selects the allowed ones`, async () => {
      const point = await startAuthzen(({ context }) => context.approver.email === "bob@example.com");
      const settings = { authzen: { url: `${point.url}/`, token_file: join(folder, "token"), batch } };
      await withPoint(point, settings, async (deployment) => {
        const ada = await deployment.enrol("ada@example.com");
        const bob = await deployment.enrol("bob@example.com");
        const asked = await deployment.ask({ ...dollars("Z-1"), ...anybody });
        assert.deepEqual(await candidatesOf(deployment, asked.body.auth_req_id), ["bob@example.com"]);
        const evaluations = point.received.flatMap(({ body }) =>
          batch ? body.evaluations.map((one: object) => ({ subject: body.subject, ...one })) : [body],
        );
        const about = (email: string, id: string) => ({
          subject: { type: "agent", id: "agent-1" },
          action: { name: "refund" },
          resource: {
            type: "api",
            id: "https://refunds.example",
            properties: { order: "Z-1", amount: "10000.00", currency: "USD" },
          },
          context: { approver: { id, email } },
        });
        assert.deepEqual(evaluations, [
          about("ada@example.com", ada.approver),
          about("bob@example.com", bob.approver),
        ]);
        assert.equal(point.received.length, batch ? 1 : 2);
        assert.ok(point.received.every(({ authorization }) => authorization === "Bearer let-me-ask"));
        assert.ok(
          point.received.every(
            ({ path }) => path === (batch ? "/access/v1/evaluations" : "/access/v1/evaluation"),
          ),
        );

        const refused = await deployment.ask(dollars("Z-2"));
        assert.deepEqual(
          [refused.status, refused.body.error, refused.body.stage],
          [403, "access_denied", "permission"],
        );
        assert.deepEqual(deployment.faults, []);
      });
    });

  test("does not check a request that another stage rejects, that is pending or was denied", async () => {
    const point = await startAuthzen(() => true);
    await withPoint(point, { authzen: { url: point.url } }, async (deployment) => {
      const ada = await deployment.enrol("ada@example.com");
      const { secret } = await deployment.registerAgent("agent-3", {
        authorization_details_types: ["promote"],
        scope: "openid",
      });
      await deployment.ask(dollars("Z-3"), { authorization: `Basic ${btoa(`agent-3:${secret}`)}` });
      await deployment.ask({ ...dollars("Z-3"), login_hint: "mallory@example.com" });
      assert.equal(point.received.length, 0);
      const first = await deployment.ask(dollars("Z-3"), { "idempotency-key": "z3" });
      assert.equal(point.received.length, 1);
      await deployment.ask(dollars("Z-3"));
      await deployment.ask(dollars("Z-3"), { "idempotency-key": "z3" });
      await ada.decide(toRequestId(first.body.auth_req_id), "deny");
      await deployment.ask(dollars("Z-3"));
      assert.equal(point.received.length, 1);
    });
  });

  for (const [what, misbehave] of [
    ["returns 500", (response) => response.writeHead(500).end()],
    ["redirects", (response) => response.writeHead(307, { location: "http://127.0.0.1:1/" }).end()],
    ["returns invalid JSON", (response) => response.writeHead(200).end("yes")],
    ["returns no decision", (response) => response.writeHead(200).end("{}")],
    ["returns a string as decision", (response) => response.writeHead(200).end('{"decision":"true"}')],
    ["returns null", (response) => response.writeHead(200).end("null")],
    ["closes the connection", (response) => void response.destroy()],
    [
      "returns a body over the limit",
      (response) => response.writeHead(200).end(`{"decision":true,"x":"${"x".repeat(300_000)}"}`),
    ],
  ] as const satisfies readonly (readonly [string, DecisionPoint["override"]])[])
    test(`rejects with 503 if the decision point ${what}, and reports the fault`, async () => {
      const point = await startAuthzen(() => true);
      await withPoint(point, { authzen: { url: point.url } }, async (deployment) => {
        await deployment.enrol("ada@example.com");
        point.override = misbehave;
        const answer = await deployment.ask(dollars("Z-4"));
        assert.deepEqual(
          [answer.status, answer.body.error, answer.body.stage, answer.headers.get("retry-after")],
          [503, "temporarily_unavailable", "permission", "2"],
        );
        assert.equal((await deployment.server.store.listRequests({ limit: 10 })).length, 0);
        assert.deepEqual(deployment.faultOperations, ["permission"]);
        assert.deepEqual(await refusals(deployment), [
          { error: "temporarily_unavailable", stage: "permission", type: "refund" },
        ]);
        point.override = undefined;
        assert.equal((await deployment.ask(dollars("Z-4"))).status, 200);
      });
    });

  test("rejects after the timeout, or at once if the connection is refused", async () => {
    const point = await startAuthzen(() => true);
    await withPoint(point, { timeout: 1, authzen: { url: point.url } }, async (deployment) => {
      await deployment.enrol("ada@example.com");
      point.override = () => {};
      const before = performance.now();
      assert.equal((await deployment.ask(dollars("Z-5"))).status, 503);
      const waited = performance.now() - before;
      assert.ok(waited > 950 && waited < 5000, `${waited} ms`);
      await point.close();
      assert.equal((await deployment.ask(dollars("Z-5"))).status, 503);
    });
  });

  test("checks again on approval, and not on denial", async () => {
    let open = true;
    const point = await startAuthzen(() => open);
    await withPoint(point, { authzen: { url: point.url } }, async (deployment) => {
      const ada = await deployment.enrol("ada@example.com");
      const asked = await deployment.ask(dollars("Z-6"));
      const id = toRequestId(asked.body.auth_req_id);
      point.override = (response) => response.writeHead(500).end();
      const down = await ada.decide(id, "approve");
      assert.equal(down.status, 409);
      assert.match(await down.text(), /The permission check is not available right now/);
      point.override = undefined;
      open = false;
      const withdrawn = await ada.decide(id, "approve");
      assert.match(await withdrawn.text(), /you can no longer approve this request/);
      assert.equal((await deployment.poll(asked.body.auth_req_id)).body.error, "authorization_pending");
      open = true;
      assert.equal((await ada.decide(id, "approve")).status, 303);
      const calls = point.received.length;
      const other = await deployment.ask(dollars("Z-7"));
      point.override = (response) => response.writeHead(500).end();
      assert.equal((await ada.decide(toRequestId(other.body.auth_req_id), "deny")).status, 303);
      assert.equal(point.received.length, calls + 1);
    });
  });

  test("checks every action of a combination for each approver", async (t) => {
    const point = await startAuthzen(({ resource }) => resource.properties.order !== "M-2");
    t.after(() => point.close());
    const deployment = await deploy({
      config: {
        actions: { refund: { combinable_with: ["refund"] } },
        permission: { authzen: { url: point.url } },
      },
    });
    t.after(() => deployment.close());
    await deployment.enrol("ada@example.com");
    const two = (orders: string[]) => ({
      authorization_details: JSON.stringify(orders.map((order) => ({ ...refund, order }))),
    });
    assert.equal((await deployment.ask(two(["M-1", "M-2"]))).body.stage, "permission");
    assert.equal((await deployment.ask(two(["M-1", "M-3"]))).status, 200);
    assert.equal(point.received.length, 4);
  });
});

const store = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const mayAsk = { user: "agent:{agent}", relation: "can_ask", object: "action:{type}" };
const handlesOrder = { user: "person:{email}", relation: "handles", object: "order:{bound.order}" };
const checks = [
  mayAsk,
  { user: "person:{email}", relation: "can_approve", object: "action:{type}" },
  { user: "agent:{agent}", relation: "may_use", object: "api:{api}" },
  handlesOrder,
];

describe("permission: OpenFGA", () => {
  test("requires every relation of the agent and of the approver", async () => {
    const tuples = new Set([
      "agent:agent-1 can_ask action:refund",
      "agent:agent-1 may_use api:refunds",
      "person:ada@example.com can_approve action:refund",
      "person:bob@example.com can_approve action:refund",
      "person:bob@example.com handles order:F-1",
      "person:* handles order:F-3",
    ]);
    const point = await startOpenFga(tuples);
    const settings = {
      openfga: { url: point.url, store_id: store, token_file: join(folder, "token"), checks },
    };
    await withPoint(point, settings, async (deployment) => {
      await deployment.enrol("ada@example.com");
      await deployment.enrol("bob@example.com");
      const asked = await deployment.ask({ ...dollars("F-1"), ...anybody });
      assert.deepEqual(await candidatesOf(deployment, asked.body.auth_req_id), ["bob@example.com"]);
      assert.equal(point.received.length, 1);
      assert.equal(point.received[0]?.path, `/stores/${store}/batch-check`);
      assert.equal(point.received[0]?.authorization, "Bearer let-me-ask");
      // Once for what is the same for both people.
      assert.equal(point.received[0]?.body.checks.length, 6);
      assert.equal((await deployment.ask(dollars("F-2"))).body.stage, "permission");
      tuples.delete("agent:agent-1 may_use api:refunds");
      assert.equal(
        (await deployment.ask({ ...dollars("F-1"), login_hint: "bob@example.com" })).status,
        200,
        "waits already",
      );
      tuples.add("person:bob@example.com handles order:F-4");
      assert.equal((await deployment.ask({ ...dollars("F-4"), ...anybody })).body.stage, "permission");
      assert.deepEqual(deployment.faults, []);
    });
  });

  for (const order of ["*", "F-1:x", "F-1#viewer", "a b", "x,y", ""])
    test(`rejects ${JSON.stringify(order)} as object id without a call`, async () => {
      const point = await startOpenFga(new Set());
      const settings = { openfga: { url: point.url, store_id: store, checks: [handlesOrder] } };
      await withPoint(point, settings, async (deployment) => {
        await deployment.enrol("ada@example.com");
        const answer = await deployment.ask(dollars(order));
        assert.deepEqual([answer.status, answer.body.stage], [403, "permission"]);
        assert.deepEqual(point.received, []);
      });
    });

  for (const [what, misbehave] of [
    ["returns 500", (response) => response.writeHead(500).end("{}")],
    ["redirects", (response) => response.writeHead(307, { location: "http://127.0.0.1:1/" }).end()],
    [
      "omits a result",
      (response) => response.writeHead(200, { "content-type": "application/json" }).end('{"result":{}}'),
    ],
    [
      "returns an error for a check",
      (response) =>
        response
          .writeHead(200, { "content-type": "application/json" })
          .end('{"result":{"0":{"error":{"message":"no such relation"}}}}'),
    ],
  ] as const satisfies readonly (readonly [string, DecisionPoint["override"]])[])
    test(`rejects with 503 if the decision point ${what}`, async () => {
      const point = await startOpenFga(new Set());
      const settings = { openfga: { url: point.url, store_id: store, checks: [mayAsk] } };
      await withPoint(point, settings, async (deployment) => {
        await deployment.enrol("ada@example.com");
        point.override = misbehave;
        const answer = await deployment.ask(dollars("F-5"));
        assert.deepEqual([answer.status, answer.body.error], [503, "temporarily_unavailable"]);
        assert.deepEqual(deployment.faultOperations, ["permission"]);
      });
    });
});

describe("permission: configuration", () => {
  for (const [what, permission, said] of [
    [
      "an unknown type",
      { relations: { agents: [{ types: ["refnud"] }] } },
      /relations\.agents\[0\]\.types\[0\]: no action is called refnud; did you mean refund\?/,
    ],
    [
      "an unknown group",
      { relations: { approvers: [{ groups: ["finanse"] }] } },
      /relations\.approvers\[0\]: no group is called finanse; did you mean finance\?/,
    ],
    [
      "a relation without people and groups",
      { relations: { approvers: [{ types: ["refund"] }] } },
      /relations\.approvers\[0\]: the relation names no people and no groups/,
    ],
    [
      "a field without types",
      { relations: { agents: [{ where: { order: ["x"] } }] } },
      /where\.order: fields need types/,
    ],
    [
      "a field that is not bound",
      { relations: { agents: [{ types: ["refund"], where: { reason: ["x"] } }] } },
      /where\.reason: reason is not a bound field of refund/,
    ],
    ["an invalid URL", { authzen: { url: "pdp" } }, /authzen\.url: invalid server URL/],
    [
      "a secret in a URL",
      { authzen: { url: "https://me:secret@pdp.example" } },
      /authzen\.url: the URL contains a secret, which must not be in this file/,
    ],
    [
      "authzen beside openfga",
      {
        authzen: { url: "https://pdp.example" },
        openfga: {
          url: "https://fga.example",
          store_id: store,
          checks: [{ user: "a:{agent}", relation: "r", object: "b:{type}" }],
        },
      },
      /openfga: authzen and openfga exclude each other/,
    ],
    [
      "an unknown placeholder",
      {
        openfga: {
          url: "https://fga.example",
          store_id: store,
          checks: [{ user: "a:{agnet}", relation: "r", object: "b:{type}" }],
        },
      },
      /checks\[0\]\.user: unknown placeholder \{agnet\}/,
    ],
    [
      "an object without a type",
      {
        openfga: {
          url: "https://fga.example",
          store_id: store,
          checks: [{ user: "a:{agent}", relation: "r", object: "{type}" }],
        },
      },
      /checks\[0\]\.object: this is not a valid object/,
    ],
    ["a timeout of 0", { timeout: 0 }, /timeout: this is not a limit in seconds/],
  ] as const)
    test(`rejects ${what}`, () => {
      const text = formatConfig(editConfig(sampleConfig, { permission }));
      const read = parseConfig(text, "/etc/countersign.yaml");
      assert.ok("problems" in read);
      const found = read.problems.map(formatProblem);
      assert.equal(found.length, 1, found.join("\n"));
      assert.match(found[0] ?? "", said);
    });

  test("refuses to start without the token file", async () => {
    await assert.rejects(
      deploy({ config: { permission: { authzen: { url: "https://pdp.example", token_file: "/nowhere" } } } }),
      /nowhere/,
    );
  });
});
