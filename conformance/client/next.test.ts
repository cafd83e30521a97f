/** `@auth0/nextjs-auth0`, unmodified, in a real Next.js application. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { refund } from "../../packages/server/test/deployment.ts";
import { type Client, openPlace, type Place } from "./place.ts";

let place: Place;
let client: Client;
before(async () => {
  place = await openPlace();
  client = await place.add({ credential: { method: "client_secret_post" } });
});
after(async () => {
  assert.deepEqual(place.deployment.faults, []);
  await place.close();
});

/** One application at a time: Next.js builds into the application's own directory. */
async function play(order: string, verdict: "approve" | "deny") {
  const details = [{ ...refund, order }];
  const running = place.run("nextjs-auth0.ts", {
    CLIENT_ID: client.id,
    CLIENT_SECRET: client.secret,
    AUTH0_SECRET: "a secret of this application for its own cookies",
    APPROVER: place.ada.approver,
    DETAILS: JSON.stringify(details),
    NEXT_TELEMETRY_DISABLED: "1",
  });
  await Promise.race([place.decideNext(client.id, verdict), running]);
  return { details, ...(await running) };
}

test("@auth0/nextjs-auth0: a route handler holds its request until a person approves, and is given the details", async () => {
  const { status, body, details } = await play("N-1", "approve");
  assert.equal(status, 200);
  assert.deepEqual(body.granted.authorizationDetails, details);
  assert.equal(body.granted.idTokenClaims.sub, place.ada.approver);
});

test("@auth0/nextjs-auth0: a denial is a failed backchannel authentication, because of access_denied", async () => {
  const { status, body } = await play("N-2", "deny");
  assert.deepEqual(
    [status, body],
    [403, { code: "backchannel_authentication_error", cause: "access_denied" }],
  );
});
