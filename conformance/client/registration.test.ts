/** Unmodified libraries that register dynamically, with only the URL and the initial access token. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import { issuer, refund, toRequestId } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { registerClient as registerLater } from "@modelcontextprotocol/client";
import { registerClient } from "@modelcontextprotocol/sdk/client/auth.js";
import * as client from "openid-client";
import { createInitialAccessToken } from "../../packages/server/src/usecase/client/initial-access-token.ts";

const deployment = useDeployment({ config: { registration: { enabled: true } }, now: Date.now });

async function initialToken(): Promise<string> {
  const expiresAt = deployment.clock.now + 60_000;
  const allowance = { name: "Refund desk", types: ["refund", "calendar.clear"], uses: 1, expiresAt };
  return (await createInitialAccessToken(deployment.server.store, allowance)).token;
}

describe("dynamic registration", () => {
  test("registers openid-client, which then requests approval and receives the token", async () => {
    const fetchIt: client.CustomFetch = async (url, options) =>
      deployment.server.fetch(new Request(url, options as RequestInit));
    const config = await client.dynamicClientRegistration(
      new URL(issuer),
      {
        token_endpoint_auth_method: "client_secret_post",
        backchannel_token_delivery_mode: "poll",
        authorization_details_types: ["refund"],
        grant_types: [cibaGrantType],
      },
      undefined,
      {
        initialAccessToken: await initialToken(),
        [client.customFetch]: fetchIt,
        execute: [client.allowInsecureRequests],
      },
    );
    config[client.customFetch] = fetchIt;
    const asked = await client.initiateBackchannelAuthentication(config, {
      scope: "openid",
      login_hint: "ada@example.com",
      authorization_details: JSON.stringify([refund]),
    });
    await deployment.ada.decide(toRequestId(asked.auth_req_id), "approve");
    const granted = await client.pollBackchannelAuthenticationGrant(config, { ...asked, interval: 0.01 });
    assert.deepEqual(granted.authorization_details, [refund]);
  });

  test("returns invalid_token to openid-client without an initial access token", async () => {
    const fetchIt: client.CustomFetch = async (url, options) =>
      deployment.server.fetch(new Request(url, options as RequestInit));
    await assert.rejects(
      client.dynamicClientRegistration(new URL(issuer), {}, undefined, {
        [client.customFetch]: fetchIt,
        execute: [client.allowInsecureRequests],
      }),
      client.WWWAuthenticateChallengeError,
    );
  });

  for (const [version, registerIt] of [
    ["1", registerClient],
    ["2", registerLater],
  ] as const)
    test(`registers the MCP SDK ${version} for the supported grant`, async () => {
      const token = await initialToken();
      const metadata = await (await deployment.request("/.well-known/oauth-authorization-server")).json();
      // The SDK does not support initial access tokens; the application passes a fetch that adds one.
      const fetchFn = (url: string | URL, init?: RequestInit) => {
        const headers = { ...(init?.headers as Record<string, string>), authorization: `Bearer ${token}` };
        return Promise.resolve(deployment.server.fetch(new Request(url, { ...init, headers })));
      };
      const clientMetadata = {
        client_name: "MCP client",
        redirect_uris: ["http://localhost:3000/callback"],
        grant_types: [cibaGrantType, "authorization_code", "refresh_token"],
        response_types: ["code"],
        token_endpoint_auth_method: "client_secret_post",
      };
      const options = { metadata, clientMetadata, scope: "openid calendar.clear offline_access", fetchFn };
      const answer = await registerIt(issuer, options as never);
      assert.match(answer.client_id, /^agent_/);
      assert.match(answer.client_secret ?? "", /^[\w-]{43}$/);
      assert.deepEqual(answer.grant_types, [cibaGrantType]);
      assert.deepEqual(answer.redirect_uris, []);
      assert.equal(answer.client_name, "Refund desk");
    });

  test("returns the supported grant to an MCP client that supports only authorization_code", async () => {
    const token = await initialToken();
    const metadata = await (await deployment.request("/.well-known/oauth-authorization-server")).json();
    const fetchFn = (url: string | URL, init?: RequestInit) => {
      const headers = { ...(init?.headers as Record<string, string>), authorization: `Bearer ${token}` };
      return Promise.resolve(deployment.server.fetch(new Request(url, { ...init, headers })));
    };
    const clientMetadata = { redirect_uris: ["http://localhost:3000/"], grant_types: ["authorization_code"] };
    await assert.rejects(
      registerClient(issuer, { metadata, clientMetadata, fetchFn }),
      /only the grant type urn:openid/,
    );
  });
});
