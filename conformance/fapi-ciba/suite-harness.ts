/**
 * Steps that the modules share, after the suite's base module: the request, the checks of its response, polling, the ping, and the
 * checks of tokens and resource. The suite waits in real time; here the clock is moved.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, type TestContext } from "node:test";
import { type ReceivedRequest, startReceiver } from "@countersign/testing/server/callback-receiver";
import { createCertificateAuthority } from "@countersign/testing/server/certificate";
import { createLocalJWKSet, decodeJwt, jwtVerify } from "jose";
import type { CallResult, Certificate } from "../call.ts";
import type { Credentials } from "../credential.ts";
import { type Form, openTestServer, type RequestStyle, type TestServer } from "../test-server.ts";
import { approver, clientsOf, planOf } from "./configuration.ts";
import { type Module, scopeOf, type Variant } from "./module.ts";

export type SuiteServer = {
  readonly server: TestServer;
  readonly variant: Variant;
  readonly one: Credentials;
  readonly two: Credentials;
  /** Response of the suite's notification endpoint; 204 by default. */
  readonly answerPings: (answer: Awaited<ReturnType<typeof startReceiver>>["respond"]) => void;
  readonly pings: (authReqId: string) => readonly ReceivedRequest[];
  /** Waits for the first ping of a request. */
  readonly pinged: (authReqId: string) => Promise<ReceivedRequest>;
};

export type ModuleRun = SuiteServer & {
  readonly name: Module;
  readonly scope: string;
  readonly t: TestContext;
};

/** The parameters of `createAuthorizationRequest`. */
export type Asked = { readonly authReqId: string; readonly token: string; readonly answer: CallResult };

const describable = /^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/;
const noContent: Parameters<SuiteServer["answerPings"]>[0] = (response) => response.writeHead(204).end();

export async function openSuiteServer(variant: Variant): Promise<SuiteServer> {
  const certificates = await createCertificateAuthority({ algorithm: "RS256" });
  const receiver = await startReceiver(certificates);
  after(() => receiver.close());
  const server = await openTestServer(planOf(variant, `${receiver.origin}/ciba-notification-endpoint`), {
    certificates,
  });
  const [one, two] = clientsOf(server);
  const pings: SuiteServer["pings"] = (authReqId) =>
    receiver.received.filter(({ body }) => JSON.parse(body || "{}").auth_req_id === authReqId);
  return {
    server,
    variant,
    one,
    two,
    answerPings: (answer) => {
      receiver.respond = answer;
    },
    pings,
    pinged: async (authReqId) => {
      while (pings(authReqId).length === 0) await receiver.waitForCount(receiver.received.length + 1);
      return pings(authReqId)[0]!;
    },
  };
}

export function createModuleRun(suiteServer: SuiteServer, name: Module, t: TestContext): ModuleRun {
  suiteServer.answerPings(noContent);
  return { ...suiteServer, name, t, scope: scopeOf(name) };
}

/** `createAuthorizationRequest` and `performAuthorizationRequest`. */
export async function ask(
  { server, variant, scope, one }: ModuleRun,
  changed: Form = {},
  style: RequestStyle = {},
  by: Credentials = one,
): Promise<{ readonly answer: CallResult; readonly token: string }> {
  const token = randomUUID() + randomUUID();
  const form: Form = {
    scope: `openid ${scope}`,
    login_hint: approver,
    binding_message: "1234",
    ...(variant.mode === "ping" && { client_notification_token: token }),
    ...changed,
  };
  return { answer: await server.ask(by, form, style), token: form.client_notification_token ?? token };
}

/** `performValidateAuthorizationResponse` */
export async function asked(
  run: ModuleRun,
  changed?: Form,
  style?: RequestStyle,
  by?: Credentials,
): Promise<Asked> {
  const { answer, token } = await ask(run, changed, style, by);
  assert.equal(answer.status, 200, answer.text);
  assert.match(answer.headers["content-type"] ?? "", /^application\/json/);
  const { auth_req_id, expires_in, interval, error } = answer.body;
  assert.equal(error, undefined);
  assert.match(auth_req_id, /^[A-Za-z0-9._-]+$/);
  assert.ok(auth_req_id.length * 8 >= 160);
  for (const number of [expires_in, interval]) assert.ok(Number.isInteger(number) && number > 0);
  return { authReqId: auth_req_id, token, answer };
}

/** `validateErrorFromBackchannelAuthorizationRequestResponse`, with the expected error code. */
export function checkRefusal(
  { status, headers, body }: CallResult,
  codes: Readonly<Record<string, readonly number[]>>,
): void {
  assert.match(headers["content-type"] ?? "", /^application\/json/);
  const others = Object.keys(body).filter(
    (key) => !["error", "error_description", "error_uri"].includes(key),
  );
  assert.deepEqual(others, []);
  assert.match(body.error_description ?? "", describable);
  assert.ok(codes[body.error]?.includes(status), `${status} ${JSON.stringify(body)}`);
}

export const invalidRequest = { invalid_request: [400] };
/** The statuses of `CheckErrorFromBackchannelAuthenticationEndpointError`. */
export const anyRefusal = { invalid_request: [400], access_denied: [403], invalid_client: [400, 401] };

/** `verifyTokenEndpointResponseIsPendingOrSlowDown` */
export function checkPending(answer: CallResult): void {
  checkRefusal(answer, { authorization_pending: [400], slow_down: [400] });
}

/** `performPostAuthorizationResponse`, up to the decision: two polls, an interval apart. */
export async function pollTwice(
  { server, one }: ModuleRun,
  { authReqId }: Asked,
  by: Credentials = one,
): Promise<void> {
  checkPending(await server.poll(by, authReqId));
  server.advanceClock(5_000);
  const second = await server.poll(by, authReqId);
  checkPending(second);
  if (second.body.error === "slow_down") server.advanceClock(10_000);
}

/** Waits for the ping, or until the next poll, and fetches the result. */
export async function fetchResult(
  run: ModuleRun,
  request: Asked,
  by: Credentials = run.one,
): Promise<CallResult> {
  if (run.variant.mode === "ping") checkPing(await run.pinged(request.authReqId), request);
  else run.server.advanceClock(10_000);
  return await run.server.poll(by, request.authReqId);
}

/** `verifyNotificationCallback` */
export function checkPing({ method, headers, body }: ReceivedRequest, { authReqId, token }: Asked): void {
  assert.equal(method, "POST");
  assert.match(headers["content-type"] ?? "", /^application\/json/);
  assert.equal(headers.authorization, `Bearer ${token}`);
  assert.deepEqual(JSON.parse(body), { auth_req_id: authReqId });
}

/** Runs a complete flow: request, two polls, approval, fetch, token checks. Returns the access token. */
export async function flow(
  run: ModuleRun,
  changed?: Form,
  style?: RequestStyle,
  by: Credentials = run.one,
): Promise<string> {
  const request = await asked(run, changed, style, by);
  await pollTwice(run, request, by);
  await run.server.allow(request.authReqId);
  return await checkTokens(run, await fetchResult(run, request, by), by, changed);
}

/** `handleSuccessfulTokenEndpointResponse` */
export async function checkTokens(
  { server }: ModuleRun,
  { status, headers, body, text }: CallResult,
  by: Credentials,
  { acr_values }: Form = {},
): Promise<string> {
  assert.equal(status, 200, text);
  assert.match(headers["cache-control"] ?? "", /no-store/);
  assert.match(headers["content-type"] ?? "", /^application\/json/);
  assert.ok(body.access_token.length >= 16);
  assert.ok(Number.isInteger(body.expires_in) && body.expires_in > 0);
  const { jwks_uri } = await server.metadata();
  const { payload, protectedHeader } = await jwtVerify(
    body.id_token,
    createLocalJWKSet((await server.call(jwks_uri)).body),
    { issuer: server.issuer, audience: by.id, currentDate: new Date(), algorithms: ["PS256", "ES256"] },
  );
  assert.ok(protectedHeader.kid);
  assert.ok(payload.sub && payload.exp && payload.iat);
  if (acr_values !== undefined) assert.ok(acr_values.split(" ").includes(String(payload.acr)));
  assert.equal(body.refresh_token, undefined);
  assert.ok(decodeJwt<{ cnf: object }>(body.access_token).cnf);
  return body.access_token;
}

export type ResourceCall = {
  readonly headers?: Readonly<Record<string, string>>;
  readonly certificate?: Certificate | undefined;
  readonly query?: string;
};

/** `CallProtectedResource` */
export async function callResource(
  { server, scope }: ModuleRun,
  token: string | undefined,
  by: Credentials,
  more: ResourceCall = {},
) {
  const { headers = {}, query = "" } = more;
  return await server.call(`${server.resource.url}/${scope}${query}`, {
    headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...headers },
    certificate: "certificate" in more ? more.certificate : by.certificate,
  });
}

/** `requestProtectedResource` */
export async function requestResource(
  run: ModuleRun,
  token: string,
  by: Credentials = run.one,
): Promise<void> {
  const interaction = randomUUID();
  const headers = { "x-fapi-interaction-id": interaction, "x-fapi-auth-date": new Date().toUTCString() };
  const answer = await callResource(run, token, by, { headers });
  assert.equal(answer.status, 200, answer.text);
  assert.ok(answer.headers.date);
  assert.equal(answer.headers["x-fapi-interaction-id"], interaction);
  assert.match(answer.headers["content-type"] ?? "", /^application\/json/);
}

/** `cleanupAfterBackchannelRequestShouldHaveFailed` if it did not fail: decides the request, so that no ping arrives later. */
export async function cleanUp({ server, variant, pinged }: ModuleRun, { authReqId }: Asked): Promise<void> {
  if (variant.mode !== "ping") return;
  await server.allow(authReqId);
  await pinged(authReqId);
}
