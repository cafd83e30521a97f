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
  checkTokens,
  cleanUp,
  fetched,
  flow,
  invalidRequest,
  pollTwice,
  refusedWith,
  requestResource,
  type Scene,
  stillPending,
  use,
} from "./suite-harness.ts";

type Play = (scene: Scene) => Promise<void>;

/** The binding message that the suite sends; devices need not be able to display it. */
const hardToShow =
  "1234 👍🏿 品川 Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo consequat. Duis aute irure dolor in reprehenderit in voluptate velit esse cillum dolore eu fugiat nulla pariatur. Excepteur sint occaecat cupidatat non proident, sunt in culpa qui officia deserunt mollit anim id est laborum.";

export const plays: Readonly<Record<Module, Play>> = {
  "fapi-ciba-id1-discovery-end-point-verification": checkDiscovery,
  "fapi-ciba-id1": playTwoClients,
  "fapi-ciba-id1-user-rejects-authentication": async (scene) => {
    const request = await asked(scene);
    await pollTwice(scene, request);
    await scene.world.deny(request.authReqId);
    refusedWith(await fetched(scene, request), { access_denied: [400] });
  },
  "fapi-ciba-id1-multiple-call-to-token-endpoint": async (scene) => {
    const request = await asked(scene);
    await pollTwice(scene, request);
    for (let attempt = 0; attempt < 20; attempt += 1) {
      const answer = await scene.world.poll(scene.one, request.authReqId);
      if (answer.body.error === "invalid_request") {
        refusedWith(answer, invalidRequest);
        break;
      }
      stillPending(answer);
    }
    await cleanUp(scene, request);
  },
  "fapi-ciba-id1-auth-req-id-expired": async (scene) => {
    // The suite requests ten seconds, and polls after about five.
    const request = await asked(scene, {}, { request: { requested_expiry: 10 } });
    await pollTwice(scene, request);
    scene.world.pass(request.answer.body.expires_in * 1000);
    if (scene.variant.mode === "ping") await scene.pinged(request.authReqId);
    refusedWith(await scene.world.poll(scene.one, request.authReqId), { expired_token: [400] });
  },
  "fapi-ciba-id1-ensure-authorization-request-with-binding-message-succeeds": async (scene) => {
    await requestResource(scene, await flow(scene, { binding_message: "1234" }));
  },
  "fapi-ciba-id1-ensure-other-scope-order-succeeds": async (scene) => {
    await requestResource(scene, await flow(scene, { scope: `${scene.scope} openid` }));
  },
  "fapi-ciba-id1-ensure-requested-expiry-as-string-succeeds": async (scene) => {
    await requestResource(scene, await flow(scene, {}, { request: { requested_expiry: "30" } }));
  },
  "fapi-ciba-id1-ensure-authorization-request-with-potentially-bad-binding-message": async (scene) => {
    const { answer } = await ask(scene, { binding_message: hardToShow });
    refusedWith(answer, { invalid_binding_message: [400] });
  },
  "fapi-ciba-id1-ensure-request-object-missing-aud-fails": refuses({ request: { aud: undefined } }),
  "fapi-ciba-id1-ensure-request-object-bad-aud-fails": refuses({
    request: { aud: "https://other.example/" },
  }),
  "fapi-ciba-id1-ensure-request-object-missing-iss-fails": refuses({ request: { iss: undefined } }),
  "fapi-ciba-id1-ensure-request-object-bad-iss-fails": refuses({ request: { iss: "not-the-client" } }),
  "fapi-ciba-id1-ensure-request-object-missing-exp-fails": refuses({ request: { exp: undefined } }),
  "fapi-ciba-id1-ensure-request-object-expired-exp-fails": refuses(() => ({ exp: seconds() - 300 })),
  "fapi-ciba-id1-ensure-request-object-exp-is-70-minutes-in-future-fails": refuses(() => ({
    exp: seconds() + 4200,
  })),
  "fapi-ciba-id1-ensure-request-object-missing-iat-fails": refuses({ request: { iat: undefined } }),
  "fapi-ciba-id1-ensure-request-object-missing-nbf-fails": refuses({ request: { nbf: undefined } }),
  "fapi-ciba-id1-ensure-request-object-nbf-is-10-minutes-in-future-fails": refuses(() => ({
    nbf: seconds() + 600,
  })),
  "fapi-ciba-id1-ensure-request-object-nbf-is-70-minutes-in-past-fails": refuses(() => ({
    nbf: seconds() - 4200,
  })),
  "fapi-ciba-id1-ensure-request-object-missing-jti-fails": refuses({ request: { jti: undefined } }),
  "fapi-ciba-id1-ensure-request-object-signature-algorithm-is-none-fails": refusesSigned(async (_, claims) =>
    new UnsecuredJWT(claims).encode(),
  ),
  "fapi-ciba-id1-ensure-request-object-signature-algorithm-is-bad-fails": refusesSigned(
    async ({ one }, claims) => {
      const good = await signAs(one, claims);
      const inverted = Buffer.from(good.split(".")[2]!, "base64url").map((byte) => byte ^ 0x5a);
      return `${good.slice(0, good.lastIndexOf("."))}.${Buffer.from(inverted).toString("base64url")}`;
    },
  ),
  "fapi-ciba-id1-ensure-request-object-signature-algorithm-is-RS256-fails": refusesSigned(({ one }, claims) =>
    signWithRs256(one, claims),
  ),
  "fapi-ciba-id1-ensure-request-object-signed-by-other-client-fails": refusesSigned(({ two }, claims) =>
    signAs(two, claims),
  ),
  "fapi-ciba-id1-ensure-authorization-request-with-multiple-hints-fails": async (scene) => {
    const { answer } = await ask(scene, { login_hint_token: "eyJ.eyJ.x", id_token_hint: "eyJ.eyJ.x" });
    refusedWith(answer, invalidRequest);
  },
  "fapi-ciba-id1-ensure-wrong-auth-req-id-in-token-endpoint-request": async (scene) => {
    const request = await asked(scene);
    refusedWith(await scene.world.poll(scene.two, request.authReqId), { invalid_grant: [400] });
    await cleanUp(scene, request);
  },
  "fapi-ciba-id1-ensure-different-client-id-and-issuer-in-backchannel-authorization-request": async (
    scene,
  ) => {
    const { answer } = await ask(scene, {}, { proof: cross(scene) });
    refusedWith(answer, { invalid_client: [401] });
  },
  "fapi-ciba-id1-ensure-wrong-client-id-in-token-endpoint-request": async (scene) => {
    const request = await asked(scene);
    const answer = await scene.world.poll(scene.one, request.authReqId, {}, { proof: cross(scene) });
    refusedWith(answer, { invalid_client: [400, 401] });
    await cleanUp(scene, request);
  },
  "fapi-ciba-id1-ensure-wrong-client-id-in-backchannel-authorization-request": async (scene) => {
    const manner = { proof: cross(scene), request: { iss: scene.two.id } };
    refusedWith((await ask(scene, {}, manner)).answer, anyRefusal);
  },
  "fapi-ciba-id1-ensure-without-client-assertion-in-token-endpoint-request": async (scene) => {
    const request = await asked(scene);
    const answer = await scene.world.poll(scene.one, request.authReqId, {}, { proof: nameOnly(scene) });
    refusedWith(answer, { invalid_client: [400, 401], invalid_request: [400] });
    await cleanUp(scene, request);
  },
  "fapi-ciba-id1-ensure-without-client-assertion-in-backchannel-authorization-request": async (scene) => {
    refusedWith((await ask(scene, {}, { proof: nameOnly(scene) })).answer, anyRefusal);
  },
  "fapi-ciba-id1-ensure-client-assertion-signature-algorithm-in-backchannel-authorization-request-is-RS256-fails":
    async (scene) => {
      refusedWith((await ask(scene, {}, { proof: await rs256Proof(scene) })).answer, anyRefusal);
    },
  "fapi-ciba-id1-ensure-client-assertion-signature-algorithm-in-token-endpoint-request-is-RS256-fails":
    async (scene) => {
      const request = await asked(scene);
      const manner = { proof: await rs256Proof(scene) };
      refusedWith(await scene.world.poll(scene.one, request.authReqId, {}, manner), {
        invalid_client: [400, 401],
      });
      await cleanUp(scene, request);
    },
  "fapi-ciba-id1-ensure-client-assertion-with-iss-aud-to-token-endpoint-succeeds": async (scene) => {
    const request = await asked(scene);
    stillPending(
      await scene.world.poll(scene.one, request.authReqId, {}, { assertion: { aud: scene.world.issuer } }),
    );
    await cleanUp(scene, request);
  },
  "fapi-ciba-id1-ping-backchannel-notification-endpoint-response-has-body": async (scene) => {
    scene.answerPings((response) => response.writeHead(200).end("A 200 with a body."));
    await requestResource(scene, await flow(scene));
  },
  "fapi-ciba-id1-ping-backchannel-notification-endpoint-response-401": (scene) => playRefusedPing(scene, 401),
  "fapi-ciba-id1-ping-backchannel-notification-endpoint-response-403": (scene) => playRefusedPing(scene, 403),
  "fapi-ciba-id1-ping-with-mtls-ciba-notification-endpoint-response-401-and-require-server-does-not-retry": (
    scene,
  ) => playRefusedPing(scene, 401),
  "fapi-ciba-id1-ping-backchannel-notification-endpoint-return-redirect-request": async (scene) => {
    const elsewhere: string[] = [];
    scene.answerPings((response, { path, headers }) => {
      if (path !== "/ciba-notification-endpoint") elsewhere.push(path);
      const location = `https://${headers.host}/invalid-ciba-notification-endpoint`;
      response.writeHead(301, { location }).end();
    });
    await requestResource(scene, await flow(scene));
    await setTimeout(200);
    assert.deepEqual(elsewhere, []);
  },
  "fapi-ciba-id1-ensure-unsigned-backchannel-authorization-request-fails": async (scene) => {
    refusedWith((await ask(scene, {}, { unsigned: true })).answer, invalidRequest);
  },
  "fapi-ciba-id1-refresh-token": async (scene) => {
    // Without a refresh token the metadata must not list the grant, and the suite skips the rest.
    const token = await flow(scene);
    assert.ok(!(await scene.world.metadata()).grant_types_supported.includes("refresh_token"));
    await requestResource(scene, token);
  },
  "fapi-ciba-id1-ensure-mtls-holder-of-key-required": async (scene) => {
    await checkTls(scene);
    const request = await asked(scene);
    const { form, headers } = await scene.world.proofOf(scene.one);
    const answer = await scene.world.poll(scene.one, request.authReqId, {}, { proof: { form, headers } });
    refusedWith(answer, { invalid_client: [400, 401], invalid_request: [400], invalid_grant: [400] });
    await cleanUp(scene, request);
  },
};

/** Two clients complete the flow twice; the other's certificate and a second use are refused. */
async function playTwoClients(scene: Scene): Promise<void> {
  const { one, two } = scene;
  const first = await flow(scene);
  await requestResource(scene, first);
  assert.ok((await use(scene, undefined, one, { query: `?access_token=${first}` })).status >= 400);
  const v6 = { "x-fapi-customer-ip-address": "2001:db8::1" };
  for (const accept of ["application/json;charset=UTF-8", "application/json, application/*+json, */*"])
    assert.equal((await use(scene, first, one, { headers: { ...v6, accept } })).status, 200);

  const changed = {
    acr_values: acr,
    ...(scene.variant.mode === "ping" && {
      client_notification_token: randomBytes(768).toString("base64url"),
    }),
  };
  const manner = {
    header: { typ: "OautH-auThZ-REQ+jWt" },
    request: { requested_expiry: 300 },
    ...(scene.variant.auth === "private_key_jwt" && {
      assertion: { aud: (await scene.world.metadata()).token_endpoint },
    }),
  };
  const request = await asked(scene, changed, manner, two);
  await pollTwice(scene, request, two);
  await scene.world.allow(request.authReqId);
  const second = await checkTokens(scene, await fetched(scene, request, two), two, changed);
  await requestResource(scene, second, two);
  const stolen = await use(scene, second, two, { certificate: one.certificate });
  assert.ok(stolen.status >= 400 && stolen.status < 500);
  refusedWith(await scene.world.poll(two, request.authReqId), { invalid_grant: [400] });
  assert.notEqual(decodeJwt(first).client_id, decodeJwt(second).client_id);
}

/** A notification endpoint that refuses is not called again; the token can still be fetched. */
async function playRefusedPing(scene: Scene, status: 401 | 403): Promise<void> {
  scene.answerPings((response) => response.writeHead(status).end());
  const request = await asked(scene);
  await pollTwice(scene, request);
  await scene.world.allow(request.authReqId);
  const answer = await fetched(scene, request);
  await requestResource(scene, await checkTokens(scene, answer, scene.one));
  scene.world.pass(30_000);
  await setTimeout(700);
  assert.equal(scene.pings(request.authReqId).length, 1);
}

/** `AbstractFAPICIBAID1EnsureSendingInvalidBackchannelAuthorizationRequest` */
function refuses(wrong: RequestStyle | (() => Readonly<Record<string, unknown>>)): Play {
  return async (scene) => {
    const manner = typeof wrong === "function" ? { request: wrong() } : wrong;
    refusedWith((await ask(scene, {}, manner)).answer, invalidRequest);
  };
}

/** The same, with a modified request object. */
function refusesSigned(make: (scene: Scene, claims: JWTPayload) => Promise<string>): Play {
  return async (scene) => {
    const { world, one, scope } = scene;
    const parameters = {
      scope: `openid ${scope}`,
      login_hint: approver,
      binding_message: "1234",
      client_notification_token: randomUUID() + randomUUID(),
    };
    const request = await make(scene, requestClaims(one.id, world.issuer, parameters));
    const form = { scope: undefined, login_hint: undefined, request };
    refusedWith(await world.ask(one, form, { unsigned: true }), invalidRequest);
  };
}

async function signWithRs256({ key }: Credentials, claims: JWTPayload): Promise<string> {
  const rs256 = await importJWK({ ...key, alg: "RS256" }, "RS256");
  return await new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: key.kid! }).sign(rs256);
}

async function rs256Proof({ world, one }: Scene): Promise<Proof> {
  const assertion = await signWithRs256(one, assertionClaims(one.id, world.issuer));
  return { form: asserted(assertion), headers: {}, certificate: one.certificate };
}

/** The second client's id on the first client's connection. */
function cross({ one, two }: Scene): Proof {
  return { form: { client_id: two.id }, headers: {}, certificate: one.certificate };
}

/** The client's id in place of its assertion. */
function nameOnly({ one }: Scene): Proof {
  return { form: { client_id: one.id }, headers: {}, certificate: one.certificate };
}
