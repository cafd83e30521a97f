/** `POST /register` (RFC 7591 §3.2.2), without a server: how invalid registrations are rejected. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { useEndpoints } from "@countersign/testing/endpoint/use-endpoints";
import { createInitialAccessToken } from "../../../usecase/client/initial-access-token.ts";

const endpoints = useEndpoints({ config: { registration: { enabled: true } } });

async function createToken(): Promise<string> {
  const expiresAt = endpoints.clock.now + 3_600_000;
  const options = { name: "Refund desk", types: ["refund", "calendar.clear"], uses: 1, expiresAt };
  return (await createInitialAccessToken(endpoints.deps.store, options)).token;
}

const register = (token: string, metadata: unknown, type = "application/json") =>
  endpoints.post("/register", typeof metadata === "string" ? metadata : JSON.stringify(metadata), {
    "content-type": type,
    authorization: `Bearer ${token}`,
  });

const internalCallback = {
  backchannel_token_delivery_mode: "ping",
  backchannel_client_notification_endpoint: "https://10.0.0.1/",
};
const invalid = [
  ["a body that is not JSON", "{", "invalid_client_metadata"],
  ["a duplicate member", '{"scope":"openid","scope":"openid"}', "invalid_client_metadata"],
  ["__proto__", '{"__proto__":{"scope":"openid"}}', "invalid_client_metadata"],
  ["a list", "[]", "invalid_client_metadata"],
  ["an empty body", "", "invalid_client_metadata"],
  ["more than 64 KiB", { client_name: "x".repeat(70_000) }, "invalid_request"],
  ["redirect URIs that are not a list", { redirect_uris: "https://x.example" }, "invalid_redirect_uri"],
  ["a software statement", { software_statement: "x" }, "unapproved_software_statement"],
  ["another grant", { grant_types: ["authorization_code"] }, "invalid_client_metadata"],
  ["a public client", { token_endpoint_auth_method: "none" }, "invalid_client_metadata"],
  ["a callback to a private address (T58)", internalCallback, "invalid_client_metadata"],
] as const;

describe("POST /register", () => {
  for (const [name, metadata, error] of invalid)
    test(`rejects ${name}, and the token stays usable`, async () => {
      const token = await createToken();
      const { status, body } = await register(token, metadata);
      assert.equal(body.error, error);
      assert.equal(status, error === "invalid_request" ? 413 : 400);
      assert.match(body.error_description, /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
      assert.equal((await register(token, {})).status, 201);
    });

  test("rejects another media type", async () => {
    const token = await createToken();
    const { status, body } = await register(token, "scope=openid", "application/x-www-form-urlencoded");
    assert.deepEqual([status, body.error], [400, "invalid_request"]);
  });
});
