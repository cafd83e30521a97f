/** Auth0's SDKs, unmodified, as agents: they hard-code `https:`, `/bc-authorize` and `/oauth/token`. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
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

describe("auth0", () => {
  test("AuthenticationClient.backchannel requests by sub, polls and receives the details", async () => {
    const { asked, granted, details } = await play("auth0.ts", "approve");
    assert.equal(asked.interval, 1);
    assert.equal(asked.expires_in, 120);
    assert.equal(granted.token_type, "Bearer");
    assert.deepEqual(granted.authorization_details, details);
    assert.equal(decodeJwt(granted.id_token).sub, env.ada.approver);
    assert.equal(granted.refresh_token, undefined);
  });

  test("returns access_denied with the approver's reason on denial (T44)", async () => {
    const { error, description } = await play("auth0.ts", "deny", "Not this one");
    assert.deepEqual([error, description], ["access_denied", "Not this one"]);
  });
});

describe("@auth0/auth0-auth-js", () => {
  test("AuthClient discovers, requests, polls and verifies the ID token", async () => {
    const { granted, details } = await play("auth0-auth-js.ts", "approve");
    assert.deepEqual(granted.authorizationDetails, details);
    assert.equal(granted.claims.sub, env.ada.approver);
    assert.equal(granted.claims.iss, env.issuer);
    assert.equal(granted.refreshToken, undefined, "offline_access is accepted and not granted");
    assert.ok(granted.expiresAt > Date.now() / 1000);
  });

  test("returns access_denied on denial", async () => {
    assert.equal((await play("auth0-auth-js.ts", "deny")).error, "access_denied");
  });
});

describe("@auth0/auth0-server-js", () => {
  test("loginBackchannel creates a session of the approver", async () => {
    const { granted, approver, details } = await play("auth0-server-js.ts", "approve");
    assert.deepEqual(granted.authorizationDetails, details);
    assert.equal(approver, env.ada.approver);
  });

  test("returns access_denied on denial", async () => {
    assert.equal((await play("auth0-server-js.ts", "deny")).error, "access_denied");
  });
});

describe("@auth0/ai", () => {
  test("interrupts a tool until the decision, and runs it with the token after approval", async () => {
    const { interrupts, granted, details } = await play("auth0-ai.ts", "approve");
    assert.equal(interrupts[0], "ASYNC_AUTHORIZATION_AUTHORIZATION_PENDING");
    assert.deepEqual(granted.authorizationDetails, details);
    assert.equal(granted.tokenType, "Bearer");
  });

  test("interrupts finally on denial", async () => {
    const { interrupts } = await play("auth0-ai.ts", "deny");
    assert.equal(interrupts.at(-1), "ASYNC_AUTHORIZATION_ACCESS_DENIED");
  });
});

describe("@auth0/ai-vercel", () => {
  test("polls at the interval in a blocking tool of the AI SDK, and runs it after approval", async () => {
    const { credentials, output, details } = await play("auth0-ai-vercel.ts", "approve");
    assert.equal(output, "refunded");
    assert.deepEqual(credentials.authorizationDetails, details);
  });

  test("does not run the tool after a denial, and returns the error to the model", async () => {
    const { credentials, output } = await play("auth0-ai-vercel.ts", "deny");
    assert.equal(credentials, undefined);
    assert.deepEqual(output, { code: "ASYNC_AUTHORIZATION_ACCESS_DENIED" });
  });
});
