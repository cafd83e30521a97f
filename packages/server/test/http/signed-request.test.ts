/** Signed authentication requests (CIBA §7.1.1), over HTTP: what is in them, what stands beside them, and how often. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type HttpReply,
  issuer,
  refund,
  toBasicAuth,
  toRequestId,
} from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { beforeTests } from "@countersign/testing/server/use-resource";
import { CompactSign, type CryptoKey, exportJWK, generateKeyPair, type JWK } from "jose";
import * as oauth from "oauth4webapi";
import { addAgent } from "../../src/usecase/client/client-lifecycle.ts";

type Signer = { readonly id: string; readonly secret: string; readonly key: CryptoKey; readonly alg: string };

const deployment = useDeployment();
let signer: Signer;
beforeTests(async () => {
  signer = await admit("signer", "ES256");
});

/** An agent that is registered to sign its requests with this algorithm. */
async function admit(id: string, alg: string, options: object = {}): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true, ...options });
  const jwk = (await exportJWK(publicKey)) as JWK & Record<string, string>;
  const added = await addAgent(deployment.server.store, {
    id,
    name: id,
    types: ["refund", "promote"],
    credential: { method: "client_secret_basic" },
    keys: { from: "registration", jwks: [jwk] },
    requestAlgorithm: alg,
  });
  assert.ok("secret" in added);
  return { id, secret: added.secret ?? "", key: privateKey, alg };
}

let order = 0;
const nowSeconds = () => Math.floor(deployment.clock.now / 1000);
const action = () => [{ ...refund, order: `S-${++order}` }];

/** The claims of a request that is good. */
const claims = (changed: object = {}): object => ({
  iss: signer.id,
  aud: issuer,
  iat: nowSeconds(),
  nbf: nowSeconds(),
  exp: nowSeconds() + 60,
  jti: `jti-${++order}`,
  scope: "openid",
  login_hint: "ada@example.com",
  authorization_details: action(),
  ...changed,
});

/** A payload as text is signed as it stands, also where no serialiser would write it. */
function sign(payload: object | string, header: object = {}, by: Signer = signer): Promise<string> {
  const text = typeof payload === "string" ? payload : JSON.stringify(payload);
  return new CompactSign(new TextEncoder().encode(text))
    .setProtectedHeader({ alg: by.alg, typ: "oauth-authz-req+jwt", ...header })
    .sign(by.key);
}

const send = (
  form: Readonly<Record<string, string>>,
  headers = {},
  by: Signer = signer,
): Promise<HttpReply> => deployment.post("/bc-authorize", form, { ...toBasicAuth(by), ...headers });

const asked = async () => (await deployment.server.store.listRequests({ limit: 1000 })).length;

async function refused(
  answer: Promise<HttpReply>,
  error = "invalid_request",
  before?: number,
): Promise<void> {
  const count = before ?? (await asked());
  const { status, body, headers } = await answer;
  assert.deepEqual([status, body.error], [400, error], body.error_description);
  assert.match(body.error_description, /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
  assert.equal(headers.get("www-authenticate"), null);
  assert.equal(await asked(), count, "nobody was asked");
}

describe("POST /bc-authorize with a request object", () => {
  test("accepts a signed request like a form, and its approval is redeemed", async () => {
    const details = action();
    const request = await sign(
      claims({
        authorization_details: details,
        binding_message: "Please",
        requested_expiry: 30,
        resource: "https://refunds.example",
      }),
    );
    const answer = await send({ request });
    assert.equal(answer.status, 200, answer.body.error_description);
    assert.equal(answer.body.expires_in, 30);
    const id = toRequestId(answer.body.auth_req_id);
    const held = await deployment.server.store.read("request", id);
    assert.deepEqual(held?.record.candidates, [deployment.ada.approver]);
    assert.match(await (await deployment.ada.get(`/requests/${id}`)).text(), /Please/);
    await deployment.ada.decide(id, "approve");
    const form = { grant_type: "urn:openid:params:grant-type:ciba", auth_req_id: answer.body.auth_req_id };
    const granted = await deployment.post("/oauth/token", form, toBasicAuth(signer));
    assert.deepEqual(granted.body.authorization_details, details);
  });

  test("accepts a request object as oauth4webapi and openid-client create it", async () => {
    const document: any = await (await deployment.request("/.well-known/openid-configuration")).json();
    const parameters = {
      scope: "openid openid",
      login_hint: "ada@example.com",
      authorization_details: JSON.stringify(action()),
      requested_expiry: "30",
      resource: "https://refunds.example",
      response_type: "code",
    };
    const clock = deployment.clock.now - Date.now();
    const client = { client_id: signer.id, [oauth.clockSkew]: Math.floor(clock / 1000) };
    const request = await oauth.issueRequestObject(document, client, parameters, signer.key);
    const answer = await send({ request, client_id: signer.id });
    assert.deepEqual([answer.status, answer.body.expires_in], [200, 30], answer.body.error_description);
  });

  test("rejects a used request object, also after a restart and after its request has ended (T49)", async () => {
    const request = await sign(claims({ requested_expiry: 10, exp: nowSeconds() + 3000 }));
    assert.equal((await send({ request })).status, 200);
    const count = await asked();
    await refused(send({ request }), "invalid_request", count);
    await deployment.restart();
    await refused(send({ request }), "invalid_request", count);
    deployment.clock.now += 20_000;
    await refused(send({ request }), "invalid_request", count);
    await deployment.server.runJobs();
    await refused(send({ request }), "invalid_request", count);
  });

  test("accepts one of thirty concurrent uses of a request object (T49)", async () => {
    const request = await sign(claims());
    const before = await asked();
    const answers = await Promise.all(Array.from({ length: 30 }, () => send({ request })));
    assert.equal(answers.filter(({ status }) => status === 200).length, 1);
    assert.ok(answers.every(({ status, body }) => status === 200 || body.error === "invalid_request"));
    assert.equal(await asked(), before + 1);
  });

  test("rejects a request object that has joined a pending request (T49)", async () => {
    const details = action();
    const first = await send({ request: await sign(claims({ authorization_details: details })) });
    const second = await sign(claims({ authorization_details: details }));
    const joined = await send({ request: second });
    assert.deepEqual([joined.body.joined, joined.body.auth_req_id], [true, first.body.auth_req_id]);
    await refused(send({ request: second }));
  });

  test("returns the same response for the same Idempotency-Key, and rejects another key", async () => {
    const request = await sign(claims());
    const key = { "idempotency-key": "signed-1" };
    const answers = await Promise.all(Array.from({ length: 10 }, () => send({ request }, key)));
    const again = await send({ request }, key);
    assert.equal(again.status, 200, again.body.error_description);
    assert.equal(new Set([...answers, again].map(({ body }) => body.auth_req_id)).size, 1);
    await refused(send({ request }, { "idempotency-key": "signed-2" }));
    await refused(send({ request }));
  });

  test("accepts a request object again after it was refused", async () => {
    const request = await sign(claims({ login_hint: "bob@example.com" }));
    await refused(send({ request }), "unknown_user_id");
    await deployment.enrol("bob@example.com");
    assert.equal((await send({ request })).status, 200);
  });

  test("keeps jti values apart by agent", async () => {
    const other = await admit("signer-4", "ES256");
    const jti = "the-same";
    assert.equal((await send({ request: await sign(claims({ jti })) })).status, 200);
    const answer = await send({ request: await sign(claims({ jti, iss: other.id }), {}, other) }, {}, other);
    assert.equal(answer.status, 200, answer.body.error_description);
  });

  test("lists the algorithms of signed requests in metadata", async () => {
    const document: any = await (await deployment.request("/.well-known/openid-configuration")).json();
    for (const alg of ["ES256", "PS256"])
      assert.ok(document.backchannel_authentication_request_signing_alg_values_supported.includes(alg));
    assert.ok(!document.backchannel_authentication_request_signing_alg_values_supported.includes("none"));
  });
});
