import assert from "node:assert/strict";
import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { after, before, test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import {
  basic,
  type Deployment,
  deploy,
  issuer,
  type Person,
  refund,
  requestIdOf,
} from "@countersign/testing/server/deployment";
import fc from "fast-check";
import { addAgent } from "../../src/usecase/client/client-lifecycle.ts";

let deployment: Deployment;
let ada: Person;
before(async () => {
  deployment = await deploy();
  ada = await deployment.enrol("ada@example.com");
});
after(async () => {
  assert.deepEqual(deployment.faults, []);
  await deployment.close();
});

let orders = 0;
async function ask(): Promise<string> {
  orders += 1;
  const answer = await deployment.ask({
    authorization_details: JSON.stringify([{ ...refund, order: `T-${orders}` }]),
  });
  return answer.body.auth_req_id;
}

test("the first poll may come at once, the next too soon is slow_down with Retry-After, and a decided request never is", async () => {
  const ticket = await ask();
  assert.equal((await deployment.poll(ticket)).body.error, "authorization_pending");
  const hasty = await deployment.poll(ticket);
  assert.deepEqual(
    [hasty.status, hasty.body.error, hasty.headers.get("retry-after")],
    [400, "slow_down", "10"],
  );
  assert.equal(hasty.headers.get("www-authenticate"), null);
  await ada.decide(requestIdOf(ticket), "approve");
  assert.equal((await deployment.poll(ticket)).status, 200);
});

test("T45: another agent's auth_req_id, an unknown one and a mangled one are answered alike", async () => {
  const ticket = await ask();
  const added = await addAgent(deployment.server.store, {
    id: "agent-2",
    name: "Other",
    types: ["refund"],
    credential: { method: "client_secret_post" },
  });
  assert.ok("secret" in added);
  const poll = (auth_req_id: string) =>
    deployment.post("/oauth/token", {
      grant_type: cibaGrantType,
      auth_req_id,
      client_id: "agent-2",
      client_secret: added.secret ?? "",
    });
  const answers = await Promise.all([ticket, "req_unknown.x", `${ticket}x`, "x", "."].map(poll));
  for (const { status, body } of answers) {
    assert.equal(status, 400);
    assert.deepEqual(body, answers[0]?.body);
    assert.equal(body.error, "invalid_grant");
  }
});

test("T52: errors are JSON, whatever the caller says it accepts", async () => {
  const answer = await deployment.post(
    "/oauth/token",
    {},
    { ...basic(deployment.agent), accept: "text/html" },
  );
  assert.equal(answer.headers.get("content-type"), "application/json");
  assert.equal(answer.body.error, "invalid_request");
});

test("T51: metadata follows the configured issuer, not the Host header", async () => {
  for (const path of ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"]) {
    const answer = await deployment.server.fetch(
      new Request(`https://evil.example${path}`, { headers: { host: "evil.example" } }),
    );
    const document = await answer.json();
    assert.equal(document.issuer, issuer);
    assert.equal(document.token_endpoint, `${issuer}/oauth/token`);
    assert.equal(document.backchannel_authentication_endpoint, `${issuer}/bc-authorize`);
    assert.ok(!JSON.stringify(document).includes("evil"));
  }
});

test("T60: every answer says nosniff", async () => {
  for (const path of ["/jwks", "/", "/nothing", "/assets/app.css"])
    assert.equal((await deployment.request(path)).headers.get("x-content-type-options"), "nosniff");
});

test("with TLS of its own, every answer says that there is nothing in clear; on this machine, and behind a proxy, none does", async () => {
  const listen = { tls: { certificate: "a.pem", key: "a.key" } };
  const local = { issuer: "https://localhost:4400" };
  const remote = { issuer: "https://id.localhost.example", passkeys: { rp_id: "id.localhost.example" } };
  for (const [config, expected] of [
    [{ ...remote, listen }, "max-age=31536000"],
    [remote, null],
    [{ ...local, listen }, null],
  ] as const) {
    const one = await deploy({ config });
    for (const path of ["/sign-in", "/oauth/token"]) {
      const { headers } = await one.request(path);
      assert.equal(headers.get("strict-transport-security"), expected, `${config.issuer}${path}`);
    }
    await one.close();
  }
});

const badForms: readonly (readonly [string, string, string?])[] = [
  ["a repeated parameter", "grant_type=a&grant_type=a"],
  ["a repeated empty parameter", "auth_req_id=&auth_req_id="],
  ["a percent sign that begins nothing", "grant_type=%"],
  ["bytes that are no UTF-8", "grant_type=%ff%fe"],
  ["a NUL character", "grant_type=%00"],
  ["no parameters", ""],
  ["a body of another type", "{}", "application/json"],
];
for (const [name, body, type = "application/x-www-form-urlencoded"] of badForms)
  for (const path of ["/oauth/token", "/bc-authorize", "/spend", "/introspect"])
    test(`${name} at ${path} is a 4xx that changes nothing`, async () => {
      const answer = await deployment.post(path, body, {
        ...basic(path === "/spend" || path === "/introspect" ? deployment.api : deployment.agent),
        "content-type": type,
      });
      assert.equal(answer.status, 400);
      assert.equal(answer.body.error, "invalid_request");
    });

test("a parameter named __proto__ is just a parameter", async () => {
  const answer = await deployment.post(
    "/oauth/token",
    `__proto__=x&constructor=y&grant_type=${cibaGrantType}&auth_req_id=z`,
    basic(deployment.agent),
  );
  assert.equal(answer.body.error, "invalid_grant");
});

test("a body over the limit is refused before it is read, declared or not", async () => {
  const long = `x=${"y".repeat(70_000)}`;
  const declared = await deployment.post("/oauth/token", long, basic(deployment.agent));
  assert.equal(declared.status, 413);
  const stream = new ReadableStream({
    pull(controller) {
      controller.enqueue(new TextEncoder().encode("y".repeat(16_384)));
    },
  });
  const headers = { ...basic(deployment.agent), "content-type": "application/x-www-form-urlencoded" };
  const init = { method: "POST", headers, body: stream, duplex: "half" } as RequestInit;
  assert.equal((await deployment.request("/oauth/token", init)).status, 413);
});

test("another grant type is unsupported_grant_type", async () => {
  const answer = await deployment.post(
    "/oauth/token",
    { grant_type: "client_credentials" },
    basic(deployment.agent),
  );
  assert.equal(answer.body.error, "unsupported_grant_type");
});

test("WWW-Authenticate comes only with a 401 to an attempt with Basic", async () => {
  const wrong = { id: deployment.agent.id, secret: "wrong" };
  const tried = await deployment.post("/oauth/token", { grant_type: "x" }, basic(wrong));
  assert.deepEqual([tried.status, tried.body.error], [401, "invalid_client"]);
  assert.match(tried.headers.get("www-authenticate") ?? "", /^Basic/);
  const posted = await deployment.post("/oauth/token", {
    grant_type: "x",
    client_id: deployment.agent.id,
    client_secret: "wrong",
  });
  assert.deepEqual([posted.status, posted.headers.get("www-authenticate")], [401, null]);
  const none = await deployment.post("/oauth/token", { grant_type: "x" });
  assert.deepEqual([none.status, none.headers.get("www-authenticate")], [401, null]);
});

test("Basic is form-decoded: a hyphen that arrives as %2D, a plus that is a space", async () => {
  const encoded = Buffer.from(`agent%2D1:${deployment.agent.secret.replaceAll("-", "%2D")}`).toString(
    "base64",
  );
  const answer = await deployment.post(
    "/oauth/token",
    { grant_type: "x" },
    { authorization: `Basic ${encoded}` },
  );
  assert.equal(answer.body.error, "unsupported_grant_type");
});

test("T53: a secret followed by NUL bytes is not the secret", async () => {
  for (const tail of ["\0", "\0\0\0\0", " "]) {
    const answer = await deployment.post(
      "/oauth/token",
      { grant_type: "x" },
      basic({ id: deployment.agent.id, secret: deployment.agent.secret + tail }),
    );
    assert.equal(answer.status, 401);
  }
});

test("T62: a client may use its registered method and no other, and not two at once", async () => {
  const form = { grant_type: "x", client_id: deployment.agent.id, client_secret: deployment.agent.secret };
  assert.equal((await deployment.post("/oauth/token", form)).status, 401, "registered for Basic");
  assert.equal(
    (await deployment.post("/oauth/token", form, basic(deployment.agent))).body.error,
    "invalid_request",
  );
});

test("whatever comes as credentials, it is refused with the right code and is no fault", async () => {
  const odd = fc.string({ unit: fc.constantFrom(...'aZ0:%+=& .-_"\\{}é\u00ff'.split("")) });
  const scheme = fc.constantFrom("Basic ", "basic", "Bearer ", "DPoP ", "", "Basic Basic ");
  const name = fc.constantFrom(
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "grant_type",
  );
  await fc.assert(
    fc.asyncProperty(
      fc.option(fc.tuple(scheme, odd, fc.boolean()), { nil: undefined }),
      fc.dictionary(name, fc.oneof(odd, fc.constant(deployment.agent.id), fc.constant("e30.e30.e30"))),
      async (given, form) => {
        const text = given && (given[2] ? Buffer.from(given[1]).toString("base64") : given[1]);
        const authorization = given && `${given[0]}${text}`;
        const answer = await deployment.post("/oauth/token", form, authorization ? { authorization } : {});
        const right =
          answer.status === 401 ? ["invalid_client"] : ["invalid_request", "unsupported_grant_type"];
        assert.ok(
          [400, 401].includes(answer.status) && right.includes(answer.body.error),
          JSON.stringify(answer),
        );
      },
    ),
    { numRuns: 300 },
  );
});

test("an unknown client, one of another method and a wrong secret cost the same comparison", async (t) => {
  await addAgent(deployment.server.store, {
    id: "signing-agent",
    name: "Signs",
    types: ["refund"],
    credential: { method: "private_key_jwt" },
  });
  const compared = t.mock.method(crypto, "timingSafeEqual");
  syncBuiltinESMExports();
  for (const id of [deployment.agent.id, "nobody", "signing-agent", deployment.api.id])
    for (const path of ["/oauth/token", "/introspect"]) {
      const answer = await deployment.post(path, { token: "x" }, basic({ id, secret: "wrong" }));
      assert.deepEqual([answer.status, compared.mock.callCount()], [401, 1], `${id} at ${path}`);
      compared.mock.resetCalls();
    }
  t.mock.restoreAll();
  syncBuiltinESMExports();
});

test("an agent's credentials open nothing that is for APIs, and the reverse", async () => {
  assert.equal((await deployment.post("/introspect", { token: "x" }, basic(deployment.agent))).status, 401);
  assert.equal(
    (await deployment.post("/oauth/token", { grant_type: "x" }, basic(deployment.api))).status,
    401,
  );
});

test("a resource on the token request must be the approved API; another one is invalid_target and uses nothing up", async () => {
  const ticket = await ask();
  await ada.decide(requestIdOf(ticket), "approve");
  const redeem = (resource: string) =>
    deployment.post(
      "/oauth/token",
      { grant_type: cibaGrantType, auth_req_id: ticket, resource },
      basic(deployment.agent),
    );
  const other = await redeem("https://calendar.example");
  assert.deepEqual([other.status, other.body.error], [400, "invalid_target"]);
  assert.equal((await redeem("https://refunds.example")).status, 200);
});

test("a caller who hangs up in the middle of the body is no fault of the server's", async () => {
  const body = new ReadableStream({
    start: (controller) => {
      controller.enqueue(new TextEncoder().encode("grant_type="));
      controller.error(new Error("aborted"));
    },
  });
  const headers = { "content-type": "application/x-www-form-urlencoded", ...basic(deployment.agent) };
  const init = { method: "POST", headers, body, duplex: "half" } as RequestInit;
  const answer = await deployment.request("/oauth/token", init);
  assert.deepEqual([answer.status, (await answer.json()).error], [400, "invalid_request"]);
  // `after` asserts that nothing was written down as a fault.
});

test("keys rotate: the new one is published at once, signs after eleven minutes, and the old one stays until its tokens are dead", async () => {
  const { rotateTokenKey } = await import("../../src/usecase/key/keyring.ts");
  const kids = async () =>
    (await (await deployment.request("/jwks")).json()).keys.map(({ kid }: { kid: string }) => kid);
  const signedBy = async () => {
    const ticket = await ask();
    await ada.decide(requestIdOf(ticket), "approve");
    const [head = ""] = (await deployment.poll(ticket)).body.access_token.split(".");
    return JSON.parse(Buffer.from(head, "base64url").toString()).kid;
  };
  const [old] = await kids();
  const fresh = await rotateTokenKey(deployment.server.store, deployment.rootKey);
  await deployment.server.keyring.reload();
  assert.deepEqual(await kids(), [old, fresh]);
  assert.equal(await signedBy(), old);
  deployment.clock.now += 11 * 60_000 - 1;
  assert.equal(await signedBy(), old);
  deployment.clock.now += 1;
  assert.equal(await signedBy(), fresh);
  assert.deepEqual(await kids(), [old, fresh]);
  deployment.clock.now += 10 * 60_000;
  assert.deepEqual(await kids(), [fresh]);
});
