/** `POST /oauth/token` (CIBA §10.1), without a server: how invalid token requests are rejected. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import { useEndpoints } from "@countersign/testing/endpoint/use-endpoints";
import { toBasicAuth } from "@countersign/testing/server/deployment";

const endpoints = useEndpoints();

describe("POST /oauth/token", () => {
  test("returns the same error for another agent's, an unknown and a malformed auth_req_id (T45)", async () => {
    const authReqId = await endpoints.askPending();
    const other = await endpoints.addAgent({ id: "agent-2", credential: { method: "client_secret_basic" } });
    const replies = await Promise.all(
      [authReqId, "req_unknown.x", `${authReqId}x`, "x", "."].map((auth_req_id) =>
        endpoints.post("/oauth/token", { grant_type: cibaGrantType, auth_req_id }, toBasicAuth(other)),
      ),
    );
    for (const { status, body } of replies) {
      assert.deepEqual([status, body.error], [400, "invalid_grant"]);
      assert.deepEqual(body, replies[0]?.body);
    }
  });

  test("rejects another grant type with unsupported_grant_type", async () => {
    const form = { grant_type: "client_credentials" };
    const { body } = await endpoints.post("/oauth/token", form, toBasicAuth(endpoints.agent));
    assert.equal(body.error, "unsupported_grant_type");
  });

  test("reads parameters named __proto__ and constructor as any other", async () => {
    const form = `__proto__=x&constructor=y&grant_type=${cibaGrantType}&auth_req_id=z`;
    const { body } = await endpoints.post("/oauth/token", form, toBasicAuth(endpoints.agent));
    assert.equal(body.error, "invalid_grant");
  });
});
