/**
 * Unmodified libraries that validate JWT access tokens (RFC 9068). They accept this server's tokens but do not enforce single
 * use; only the verifier does.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { refund, toRequestId } from "@countersign/testing/server/deployment";
import * as oauth from "oauth4webapi";
import { type ClientEnv, openClientEnv } from "./client-env.ts";

const audience = "https://refunds.example";
let env: ClientEnv;
let token: string;
before(async () => {
  env = await openClientEnv();
  const asked = await env.deployment.ask();
  await env.ada.decide(toRequestId(asked.body.auth_req_id), "approve");
  token = (await env.deployment.poll(asked.body.auth_req_id)).body.access_token;
});
after(async () => {
  assert.deepEqual(env.deployment.faults, []);
  await env.close();
});

const bearing = (given: string) =>
  new Request("https://refunds.example/refunds", { headers: { authorization: `Bearer ${given}` } });

/** Fetches discovery and keys with the harness's `fetch`: a CA cannot be added to this process. */
const inside = ((url: string, init?: RequestInit) =>
  env.deployment.server.fetch(new Request(url, init))) as typeof fetch;

describe("resource servers", () => {
  test("accept the token with oauth4webapi.validateJwtAccessToken, and read the details", async () => {
    const issuer = new URL(env.issuer);
    const discovered = await oauth.discoveryRequest(issuer, { [oauth.customFetch]: inside });
    const server = await oauth.processDiscoveryResponse(issuer, discovered);
    const options = { [oauth.customFetch]: inside };
    const claims = await oauth.validateJwtAccessToken(server, bearing(token), audience, options);
    assert.deepEqual(claims.authorization_details, [refund]);
    assert.equal(claims.sub, env.ada.approver);
    assert.equal(claims.client_id, "agent-1");
    await assert.rejects(
      oauth.validateJwtAccessToken(server, bearing(token), "https://other.example", options),
    );
    const changed = `${token.slice(0, -6)}AAAAAA`;
    await assert.rejects(oauth.validateJwtAccessToken(server, bearing(changed), audience, options));
  });

  test("accept the token with express-oauth2-jwt-bearer in strict mode, with claim checks", async () => {
    const said = await env.run("express-oauth2-jwt-bearer.ts", {
      AUDIENCE: audience,
      TOKEN: token,
    });
    assert.deepEqual(said, { none: 401, forged: 401, other: 401, right: 200, details: [refund] });
  });
});
