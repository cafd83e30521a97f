/** Auth0's SDKs, unmodified, as agents: they hard-code `https:`, `/bc-authorize` and `/oauth/token`. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { refund } from "@countersign/testing/server/deployment";
import { decodeJwt } from "jose";
import { type Client, type ClientEnv, openClientEnv } from "./client-env.ts";

let env: ClientEnv;
let client: Client;
before(async () => {
  env = await openClientEnv();
  client = await env.add({ credential: { method: "client_secret_post" } });
});
after(async () => {
  assert.deepEqual(env.deployment.faults, []);
  await env.close();
});

let orders = 0;
/** Runs a program that requests a refund of a new order, while Ada decides it. */
async function play(program: string, verdict: "approve" | "deny", reason?: string) {
  orders += 1;
  const details = [{ ...refund, order: `O-${orders}` }];
  const running = env.run(program, {
    CLIENT_ID: client.id,
    CLIENT_SECRET: client.secret,
    APPROVER: env.ada.approver,
    DETAILS: JSON.stringify(details),
  });
  const polled = env.polled();
  // Decide only after the program received `authorization_pending`: some programs poll within milliseconds.
  const decided = polled.then(() => env.decideNext(client.id, verdict, reason));
  const [said] = await Promise.all([running, Promise.race([decided, running])]);
  return { details, ...said };
}

test("auth0: AuthenticationClient.backchannel asks for a person by sub, polls and is given the details", async () => {
  const { asked, granted, details } = await play("auth0.ts", "approve");
  assert.equal(asked.interval, 1);
  assert.equal(asked.expires_in, 120);
  assert.equal(granted.token_type, "Bearer");
  assert.deepEqual(granted.authorization_details, details);
  assert.equal(decodeJwt(granted.id_token).sub, env.ada.approver);
  assert.equal(granted.refresh_token, undefined);
});

test("T44: auth0: a denial arrives as access_denied with the approver's reason", async () => {
  const { error, description } = await play("auth0.ts", "deny", "Not this one");
  assert.deepEqual([error, description], ["access_denied", "Not this one"]);
});

test("@auth0/auth0-auth-js: AuthClient discovers, asks, polls and checks the ID token", async () => {
  const { granted, details } = await play("auth0-auth-js.ts", "approve");
  assert.deepEqual(granted.authorizationDetails, details);
  assert.equal(granted.claims.sub, env.ada.approver);
  assert.equal(granted.claims.iss, env.issuer);
  assert.equal(granted.refreshToken, undefined, "offline_access is accepted and not granted");
  assert.ok(granted.expiresAt > Date.now() / 1000);
});

test("@auth0/auth0-auth-js: a denial arrives as access_denied", async () => {
  assert.equal((await play("auth0-auth-js.ts", "deny")).error, "access_denied");
});

test("@auth0/auth0-server-js: loginBackchannel keeps a session of the approver", async () => {
  const { granted, approver, details } = await play("auth0-server-js.ts", "approve");
  assert.deepEqual(granted.authorizationDetails, details);
  assert.equal(approver, env.ada.approver);
});

test("@auth0/auth0-server-js: a denial arrives as access_denied", async () => {
  assert.equal((await play("auth0-server-js.ts", "deny")).error, "access_denied");
});

test("@auth0/ai: a tool is interrupted while a person is asked, and runs with the token once they said yes", async () => {
  const { interrupts, granted, details } = await play("auth0-ai.ts", "approve");
  assert.equal(interrupts[0], "ASYNC_AUTHORIZATION_AUTHORIZATION_PENDING");
  assert.deepEqual(granted.authorizationDetails, details);
  assert.equal(granted.tokenType, "Bearer");
});

test("@auth0/ai: a denial interrupts for good, as a denial", async () => {
  const { interrupts } = await play("auth0-ai.ts", "deny");
  assert.equal(interrupts.at(-1), "ASYNC_AUTHORIZATION_ACCESS_DENIED");
});

test("@auth0/ai-vercel: a blocking tool of the AI SDK polls at the interval and runs after a yes", async () => {
  const { credentials, output, details } = await play("auth0-ai-vercel.ts", "approve");
  assert.equal(output, "refunded");
  assert.deepEqual(credentials.authorizationDetails, details);
});

test("@auth0/ai-vercel: after a denial the tool does not run, and the model receives the error", async () => {
  const { credentials, output } = await play("auth0-ai-vercel.ts", "deny");
  assert.equal(credentials, undefined);
  assert.deepEqual(output, { code: "ASYNC_AUTHORIZATION_ACCESS_DENIED" });
});
