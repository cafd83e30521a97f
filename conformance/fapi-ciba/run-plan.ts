/**
 * Our implementation of each module of the plan, with the order and checks of the suite's source. It does not replace the
 * suite, which alone certifies, but reports on every run what the suite would find.
 */
import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { decodeJwt, importJWK, type JWTPayload, SignJWT, UnsecuredJWT } from "jose";
import type { Credentials } from "../credential.ts";
import { asserted, assertionClaims, type Proof, requestClaims, seconds, signAs } from "../proof.ts";
import type { RequestStyle } from "../test-server.ts";
import { acr, approver } from "./configuration.ts";
import { checkDiscovery, checkTls } from "./discovery.ts";
import type { Module } from "./module.ts";
import {
  anyRefusal,
  ask,
  asked,
  callResource,
  checkPending,
  checkRefusal,
  checkTokens,
  cleanUp,
  fetchResult,
  flow,
  invalidRequest,
  type ModuleRun,
  pollTwice,
  requestResource,
} from "./suite-harness.ts";

type ModuleTest = (run: ModuleRun) => Promise<void>;

/** The binding message that the suite sends; devices need not be able to display it. */
const hardToShow =
  "1234 👍🏿 品川 Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo consequat. Duis aute irure dolor in reprehenderit in voluptate velit esse cillum dolore eu fugiat nulla pariatur. Excepteur sint occaecat cupidatat non proident, sunt in culpa qui officia deserunt mollit anim id est laborum.";

export const moduleTests: Readonly<Record<Module, ModuleTest>> = {
  "fapi-ciba-id1-discovery-end-point-verification": checkDiscovery,
  "fapi-ciba-id1": runTwoClients,
  "fapi-ciba-id1-user-rejects-authentication": async (run) => {
    const request = await asked(run);
    await pollTwice(run, request);
    await run.server.deny(request.authReqId);
    checkRefusal(await fetchResult(run, request), { access_denied: [400] });
  },
  "fapi-ciba-id1-multiple-call-to-token-endpoint": async (run) => {
    const request = await asked(run);
    await pollTwice(run, request);
    for (let attempt = 0; attempt < 20; attempt += 1) {
      const answer = await run.server.poll(run.one, request.authReqId);
      if (answer.body.error === "invalid_request") {
        checkRefusal(answer, invalidRequest);
        break;
      }
      checkPending(answer);
    }
    await cleanUp(run, request);
  },
  "fapi-ciba-id1-auth-req-id-expired": async (run) => {
    // The suite requests ten seconds, and polls after about five.
    const request = await asked(run, {}, { request: { requested_expiry: 10 } });
    await pollTwice(run, request);
    run.server.advanceClock(request.answer.body.expires_in * 1000);
    if (run.variant.mode === "ping") await run.pinged(request.authReqId);
    checkRefusal(await run.server.poll(run.one, request.authReqId), { expired_token: [400] });
  },
  "fapi-ciba-id1-ensure-authorization-request-with-binding-message-succeeds": async (run) => {
    await requestResource(run, await flow(run, { binding_message: "1234" }));
  },
  "fapi-ciba-id1-ensure-other-scope-order-succeeds": async (run) => {
    await requestResource(run, await flow(run, { scope: `${run.scope} openid` }));
  },
  "fapi-ciba-id1-ensure-requested-expiry-as-string-succeeds": async (run) => {
    await requestResource(run, await flow(run, {}, { request: { requested_expiry: "30" } }));
  },
  "fapi-ciba-id1-ensure-authorization-request-with-potentially-bad-binding-message": async (run) => {
    const { answer } = await ask(run, { binding_message: hardToShow });
    checkRefusal(answer, { invalid_binding_message: [400] });
  },
  "fapi-ciba-id1-ensure-request-object-missing-aud-fails": expectRefusal({ request: { aud: undefined } }),
  "fapi-ciba-id1-ensure-request-object-bad-aud-fails": expectRefusal({
    request: { aud: "https://other.example/" },
  }),
  "fapi-ciba-id1-ensure-request-object-missing-iss-fails": expectRefusal({ request: { iss: undefined } }),
  "fapi-ciba-id1-ensure-request-object-bad-iss-fails": expectRefusal({ request: { iss: "not-the-client" } }),
  "fapi-ciba-id1-ensure-request-object-missing-exp-fails": expectRefusal({ request: { exp: undefined } }),
  "fapi-ciba-id1-ensure-request-object-expired-exp-fails": expectRefusal(() => ({ exp: seconds() - 300 })),
  "fapi-ciba-id1-ensure-request-object-exp-is-70-minutes-in-future-fails": expectRefusal(() => ({
    exp: seconds() + 4200,
  })),
  "fapi-ciba-id1-ensure-request-object-missing-iat-fails": expectRefusal({ request: { iat: undefined } }),
  "fapi-ciba-id1-ensure-request-object-missing-nbf-fails": expectRefusal({ request: { nbf: undefined } }),
  "fapi-ciba-id1-ensure-request-object-nbf-is-10-minutes-in-future-fails": expectRefusal(() => ({
    nbf: seconds() + 600,
  })),
  "fapi-ciba-id1-ensure-request-object-nbf-is-70-minutes-in-past-fails": expectRefusal(() => ({
    nbf: seconds() - 4200,
  })),
  "fapi-ciba-id1-ensure-request-object-missing-jti-fails": expectRefusal({ request: { jti: undefined } }),
  "fapi-ciba-id1-ensure-request-object-signature-algorithm-is-none-fails": expectSignedRefusal(
    async (_, claims) => new UnsecuredJWT(claims).encode(),
  ),
  "fapi-ciba-id1-ensure-request-object-signature-algorithm-is-bad-fails": expectSignedRefusal(
    async ({ one }, claims) => {
      const good = await signAs(one, claims);
      const inverted = Buffer.from(good.split(".")[2]!, "base64url").map((byte) => byte ^ 0x5a);
      return `${good.slice(0, good.lastIndexOf("."))}.${Buffer.from(inverted).toString("base64url")}`;
    },
  ),
  "fapi-ciba-id1-ensure-request-object-signature-algorithm-is-RS256-fails": expectSignedRefusal(
    ({ one }, claims) => signWithRs256(one, claims),
  ),
  "fapi-ciba-id1-ensure-request-object-signed-by-other-client-fails": expectSignedRefusal(({ two }, claims) =>
    signAs(two, claims),
  ),
  "fapi-ciba-id1-ensure-authorization-request-with-multiple-hints-fails": async (run) => {
    const { answer } = await ask(run, { login_hint_token: "eyJ.eyJ.x", id_token_hint: "eyJ.eyJ.x" });
    checkRefusal(answer, invalidRequest);
  },
  "fapi-ciba-id1-ensure-wrong-auth-req-id-in-token-endpoint-request": async (run) => {
    const request = await asked(run);
    checkRefusal(await run.server.poll(run.two, request.authReqId), { invalid_grant: [400] });
    await cleanUp(run, request);
  },
  "fapi-ciba-id1-ensure-different-client-id-and-issuer-in-backchannel-authorization-request": async (run) => {
    const { answer } = await ask(run, {}, { proof: cross(run) });
    checkRefusal(answer, { invalid_client: [401] });
  },
  "fapi-ciba-id1-ensure-wrong-client-id-in-token-endpoint-request": async (run) => {
    const request = await asked(run);
    const answer = await run.server.poll(run.one, request.authReqId, {}, { proof: cross(run) });
    checkRefusal(answer, { invalid_client: [400, 401] });
    await cleanUp(run, request);
  },
  "fapi-ciba-id1-ensure-wrong-client-id-in-backchannel-authorization-request": async (run) => {
    const style = { proof: cross(run), request: { iss: run.two.id } };
    checkRefusal((await ask(run, {}, style)).answer, anyRefusal);
  },
  "fapi-ciba-id1-ensure-without-client-assertion-in-token-endpoint-request": async (run) => {
    const request = await asked(run);
    const answer = await run.server.poll(run.one, request.authReqId, {}, { proof: nameOnly(run) });
    checkRefusal(answer, { invalid_client: [400, 401], invalid_request: [400] });
    await cleanUp(run, request);
  },
  "fapi-ciba-id1-ensure-without-client-assertion-in-backchannel-authorization-request": async (run) => {
    checkRefusal((await ask(run, {}, { proof: nameOnly(run) })).answer, anyRefusal);
  },
  "fapi-ciba-id1-ensure-client-assertion-signature-algorithm-in-backchannel-authorization-request-is-RS256-fails":
    async (run) => {
      checkRefusal((await ask(run, {}, { proof: await rs256Proof(run) })).answer, anyRefusal);
    },
  "fapi-ciba-id1-ensure-client-assertion-signature-algorithm-in-token-endpoint-request-is-RS256-fails":
    async (run) => {
      const request = await asked(run);
      const style = { proof: await rs256Proof(run) };
      checkRefusal(await run.server.poll(run.one, request.authReqId, {}, style), {
        invalid_client: [400, 401],
      });
      await cleanUp(run, request);
    },
  "fapi-ciba-id1-ensure-client-assertion-with-iss-aud-to-token-endpoint-succeeds": async (run) => {
    const request = await asked(run);
    checkPending(
      await run.server.poll(run.one, request.authReqId, {}, { assertion: { aud: run.server.issuer } }),
    );
    await cleanUp(run, request);
  },
  "fapi-ciba-id1-ping-backchannel-notification-endpoint-response-has-body": async (run) => {
    run.answerPings((response) => response.writeHead(200).end("A 200 with a body."));
    await requestResource(run, await flow(run));
  },
  "fapi-ciba-id1-ping-backchannel-notification-endpoint-response-401": (run) => runRefusedPing(run, 401),
  "fapi-ciba-id1-ping-backchannel-notification-endpoint-response-403": (run) => runRefusedPing(run, 403),
  "fapi-ciba-id1-ping-with-mtls-ciba-notification-endpoint-response-401-and-require-server-does-not-retry": (
    run,
  ) => runRefusedPing(run, 401),
  "fapi-ciba-id1-ping-backchannel-notification-endpoint-return-redirect-request": async (run) => {
    const elsewhere: string[] = [];
    run.answerPings((response, { path, headers }) => {
      if (path !== "/ciba-notification-endpoint") elsewhere.push(path);
      const location = `https://${headers.host}/invalid-ciba-notification-endpoint`;
      response.writeHead(301, { location }).end();
    });
    await requestResource(run, await flow(run));
    await setTimeout(200);
    assert.deepEqual(elsewhere, []);
  },
  "fapi-ciba-id1-ensure-unsigned-backchannel-authorization-request-fails": async (run) => {
    checkRefusal((await ask(run, {}, { unsigned: true })).answer, invalidRequest);
  },
  "fapi-ciba-id1-refresh-token": async (run) => {
    // Without a refresh token the metadata must not list the grant, and the suite skips the rest.
    const token = await flow(run);
    assert.ok(!(await run.server.metadata()).grant_types_supported.includes("refresh_token"));
    await requestResource(run, token);
  },
  "fapi-ciba-id1-ensure-mtls-holder-of-key-required": async (run) => {
    await checkTls(run);
    const request = await asked(run);
    const { form, headers } = await run.server.proofOf(run.one);
    const answer = await run.server.poll(run.one, request.authReqId, {}, { proof: { form, headers } });
    checkRefusal(answer, { invalid_client: [400, 401], invalid_request: [400], invalid_grant: [400] });
    await cleanUp(run, request);
  },
};

/** Two clients complete the flow twice; the other's certificate and a second use are refused. */
async function runTwoClients(run: ModuleRun): Promise<void> {
  const { one, two } = run;
  const first = await flow(run);
  await requestResource(run, first);
  assert.ok((await callResource(run, undefined, one, { query: `?access_token=${first}` })).status >= 400);
  const v6 = { "x-fapi-customer-ip-address": "2001:db8::1" };
  for (const accept of ["application/json;charset=UTF-8", "application/json, application/*+json, */*"])
    assert.equal((await callResource(run, first, one, { headers: { ...v6, accept } })).status, 200);

  const changed = {
    acr_values: acr,
    ...(run.variant.mode === "ping" && {
      client_notification_token: randomBytes(768).toString("base64url"),
    }),
  };
  const style = {
    header: { typ: "OautH-auThZ-REQ+jWt" },
    request: { requested_expiry: 300 },
    ...(run.variant.auth === "private_key_jwt" && {
      assertion: { aud: (await run.server.metadata()).token_endpoint },
    }),
  };
  const request = await asked(run, changed, style, two);
  await pollTwice(run, request, two);
  await run.server.allow(request.authReqId);
  const second = await checkTokens(run, await fetchResult(run, request, two), two, changed);
  await requestResource(run, second, two);
  const stolen = await callResource(run, second, two, { certificate: one.certificate });
  assert.ok(stolen.status >= 400 && stolen.status < 500);
  checkRefusal(await run.server.poll(two, request.authReqId), { invalid_grant: [400] });
  assert.notEqual(decodeJwt(first).client_id, decodeJwt(second).client_id);
}

/** A notification endpoint that refuses is not called again; the token can still be fetched. */
async function runRefusedPing(run: ModuleRun, status: 401 | 403): Promise<void> {
  run.answerPings((response) => response.writeHead(status).end());
  const request = await asked(run);
  await pollTwice(run, request);
  await run.server.allow(request.authReqId);
  const answer = await fetchResult(run, request);
  await requestResource(run, await checkTokens(run, answer, run.one));
  run.server.advanceClock(30_000);
  await setTimeout(700);
  assert.equal(run.pings(request.authReqId).length, 1);
}

/** `AbstractFAPICIBAID1EnsureSendingInvalidBackchannelAuthorizationRequest` */
function expectRefusal(wrong: RequestStyle | (() => Readonly<Record<string, unknown>>)): ModuleTest {
  return async (run) => {
    const style = typeof wrong === "function" ? { request: wrong() } : wrong;
    checkRefusal((await ask(run, {}, style)).answer, invalidRequest);
  };
}

/** The same, with a modified request object. */
function expectSignedRefusal(make: (run: ModuleRun, claims: JWTPayload) => Promise<string>): ModuleTest {
  return async (run) => {
    const { server, one, scope } = run;
    const parameters = {
      scope: `openid ${scope}`,
      login_hint: approver,
      binding_message: "1234",
      client_notification_token: randomUUID() + randomUUID(),
    };
    const request = await make(run, requestClaims(one.id, server.issuer, parameters));
    const form = { scope: undefined, login_hint: undefined, request };
    checkRefusal(await server.ask(one, form, { unsigned: true }), invalidRequest);
  };
}

async function signWithRs256({ key }: Credentials, claims: JWTPayload): Promise<string> {
  const rs256 = await importJWK({ ...key, alg: "RS256" }, "RS256");
  return await new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: key.kid! }).sign(rs256);
}

async function rs256Proof({ server, one }: ModuleRun): Promise<Proof> {
  const assertion = await signWithRs256(one, assertionClaims(one.id, server.issuer));
  return { form: asserted(assertion), headers: {}, certificate: one.certificate };
}

/** The second client's id on the first client's connection. */
function cross({ one, two }: ModuleRun): Proof {
  return { form: { client_id: two.id }, headers: {}, certificate: one.certificate };
}

/** The client's id in place of its assertion. */
function nameOnly({ one }: ModuleRun): Proof {
  return { form: { client_id: one.id }, headers: {}, certificate: one.certificate };
}
