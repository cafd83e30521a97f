/** `@auth0/nextjs-auth0`, unmodified, in a real Next.js application. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { refund } from "@countersign/testing/server/deployment";
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

/** One application at a time: Next.js builds into the application's own directory. */
async function play(order: string, verdict: "approve" | "deny") {
  const details = [{ ...refund, order }];
  const running = env.run("nextjs-auth0.ts", {
    CLIENT_ID: client.id,
    CLIENT_SECRET: client.secret,
    AUTH0_SECRET: "a secret of this application for its own cookies",
    APPROVER: env.ada.approver,
    DETAILS: JSON.stringify(details),
    NEXT_TELEMETRY_DISABLED: "1",
  });
  await Promise.race([env.decideNext(client.id, verdict), running]);
  return { details, ...(await running) };
}

describe("@auth0/nextjs-auth0", () => {
  test("keeps the request of a route handler open until the approval, and receives the details", async () => {
    const { status, body, details } = await play("N-1", "approve");
    assert.equal(status, 200);
    assert.deepEqual(body.granted.authorizationDetails, details);
    assert.equal(body.granted.idTokenClaims.sub, env.ada.approver);
  });

  test("returns a failed backchannel authentication with access_denied on denial", async () => {
    const { status, body } = await play("N-2", "deny");
    assert.deepEqual(
      [status, body],
      [403, { code: "backchannel_authentication_error", cause: "access_denied" }],
    );
  });
});
