import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import { deploy, issuer, refund, toBasicAuth, toRequestId } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";

const deployment = useDeployment();

let orders = 0;
async function ask(): Promise<string> {
  orders += 1;
  const answer = await deployment.ask({
    authorization_details: JSON.stringify([{ ...refund, order: `T-${orders}` }]),
  });
  return answer.body.auth_req_id;
}

describe("POST /oauth/token", () => {
  test("returns slow_down with Retry-After for a second poll within the interval, unless the request is decided", async () => {
    const ticket = await ask();
    assert.equal((await deployment.poll(ticket)).body.error, "authorization_pending");
    const hasty = await deployment.poll(ticket);
    assert.deepEqual(
      [hasty.status, hasty.body.error, hasty.headers.get("retry-after")],
      [400, "slow_down", "10"],
    );
    assert.equal(hasty.headers.get("www-authenticate"), null);
    await deployment.ada.decide(toRequestId(ticket), "approve");
    assert.equal((await deployment.poll(ticket)).status, 200);
  });

  test("returns errors as JSON whatever the Accept header (T52)", async () => {
    const answer = await deployment.post(
      "/oauth/token",
      {},
      { ...toBasicAuth(deployment.agent), accept: "text/html" },
    );
    assert.equal(answer.headers.get("content-type"), "application/json");
    assert.equal(answer.body.error, "invalid_request");
  });

  test("builds metadata from the configured issuer, not from the Host header (T51)", async () => {
    for (const path of ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"]) {
      const answer = await deployment.server.fetch(
        new Request(`https://evil.example${path}`, { headers: { host: "evil.example" } }),
      );
      const document = await answer.json();
      assert.equal(document.issuer, issuer);
      assert.equal(document.token_endpoint, `${issuer}/oauth/token`);
      assert.equal(document.backchannel_authentication_endpoint, `${issuer}/bc-authorize`);
      assert.ok(!JSON.stringify(document).includes("evil"));
    }
  });

  test("sends nosniff with every response (T60)", async () => {
    for (const path of ["/jwks", "/", "/nothing", "/assets/app.css"])
      assert.equal((await deployment.request(path)).headers.get("x-content-type-options"), "nosniff");
  });

  test("sends HSTS if the server terminates TLS, but not on localhost or behind a proxy", async (t) => {
    const listen = { tls: { certificate: "a.pem", key: "a.key" } };
    const local = { issuer: "https://localhost:4400" };
    const remote = { issuer: "https://id.localhost.example", passkeys: { rp_id: "id.localhost.example" } };
    for (const [config, expected] of [
      [{ ...remote, listen }, "max-age=31536000"],
      [remote, null],
      [{ ...local, listen }, null],
    ] as const) {
      const one = await deploy({ config });
      t.after(() => one.close());
      for (const path of ["/sign-in", "/oauth/token"]) {
        const { headers } = await one.request(path);
        assert.equal(headers.get("strict-transport-security"), expected, `${config.issuer}${path}`);
      }
    }
  });

  test("rejects a resource other than the approved API with invalid_target; the approval stays redeemable", async () => {
    const ticket = await ask();
    await deployment.ada.decide(toRequestId(ticket), "approve");
    const redeem = (resource: string) =>
      deployment.post(
        "/oauth/token",
        { grant_type: cibaGrantType, auth_req_id: ticket, resource },
        toBasicAuth(deployment.agent),
      );
    const other = await redeem("https://calendar.example");
    assert.deepEqual([other.status, other.body.error], [400, "invalid_target"]);
    assert.equal((await redeem("https://refunds.example")).status, 200);
  });

  test("publishes a new key at once, signs with it after eleven minutes, and keeps the old one until its tokens expire", async () => {
    const { rotateTokenKey } = await import("../../src/usecase/key/keyring.ts");
    const kids = async () =>
      (await (await deployment.request("/jwks")).json()).keys.map(({ kid }: { kid: string }) => kid);
    const signedBy = async () => {
      const ticket = await ask();
      await deployment.ada.decide(toRequestId(ticket), "approve");
      const [head = ""] = (await deployment.poll(ticket)).body.access_token.split(".");
      return JSON.parse(Buffer.from(head, "base64url").toString()).kid;
    };
    const [old] = await kids();
    const fresh = await rotateTokenKey(deployment.server.store, deployment.rootKey);
    await deployment.server.keyring.reload();
    assert.deepEqual(await kids(), [old, fresh]);
    assert.equal(await signedBy(), old);
    deployment.clock.now += 11 * 60_000 - 1;
    assert.equal(await signedBy(), old);
    deployment.clock.now += 1;
    assert.equal(await signedBy(), fresh);
    assert.deepEqual(await kids(), [old, fresh]);
    deployment.clock.now += 10 * 60_000;
    assert.deepEqual(await kids(), [fresh]);
  });
});
