/** The printed configuration is sufficient: one request completes with it alone. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { cibaGrantType } from "@countersign/protocol";
import { start } from "../../examples/harness/process.ts";
import { call } from "../call.ts";
import { asserted, assertionClaims, requestClaims, signAs } from "../proof.ts";
import { encode } from "../test-server.ts";
import { modulesOf, type Variant } from "./module.ts";

const file = new URL("serve.ts", import.meta.url);

describe("fapi-ciba serve", () => {
  for (const [auth, mode] of [
    ["private_key_jwt", "poll"],
    ["mtls", "ping"],
  ] as const)
    test(`prints the complete suite configuration for ${auth} and ${mode}`, async (t) => {
      const variant: Variant = { auth, mode, algorithm: "ES256" };
      const words = ["--auth", auth, "--mode", mode, "--algorithm", "ES256"];
      const server = start({ file, args: words, folder: tmpdir() });
      t.after(() => server.end());
      await server.waitForLine(/^}$/);
      const given = JSON.parse(server.lines.join("\n"));
      assert.deepEqual(Object.keys(given.override), modulesOf(variant));

      const { client, client2, resource } = given.override["fapi-ciba-id1-refresh-token"];
      assert.notEqual(client.scope, given.client.scope);
      assert.notEqual(client.client_id, client2.client_id);
      while (!server.errorOutput().includes("ca.pem")) await new Promise((resolve) => setImmediate(resolve));
      const ca = readFileSync(/authority.*: (.*ca\.pem)/.exec(server.errorOutput())![1]!, "utf8");
      const certificate = { certificate: given.mtls.cert, key: given.mtls.key };
      const { body: metadata } = await call(given.server.discoveryUrl, { ca });
      const [jwk] = client.jwks.keys;
      const signer = { key: jwk, algorithm: jwk.alg };
      const { client_id } = client;

      const post = async (url: string, form: Readonly<Record<string, string>>) => {
        const proof =
          auth === "mtls"
            ? { client_id }
            : asserted(await signAs(signer, assertionClaims(client_id, metadata.issuer)));
        const headers = { "content-type": "application/x-www-form-urlencoded" };
        return await call(url, {
          method: "POST",
          headers,
          body: encode({ ...form, ...proof }),
          certificate,
          ca,
        });
      };
      const parameters = {
        scope: client.scope,
        [client.hint_type]: client.hint_value,
        binding_message: "1234",
        ...(mode === "ping" && { client_notification_token: "x".repeat(40) }),
      };
      const request = await signAs(signer, requestClaims(client_id, metadata.issuer, parameters));
      const asked = await post(metadata.mtls_endpoint_aliases.backchannel_authentication_endpoint, {
        request,
      });
      assert.equal(asked.status, 200, asked.text);
      const { auth_req_id } = asked.body;
      const approval = given.automated_ciba_approval_url
        .replace("{auth_req_id}", auth_req_id)
        .replace("{action}", "allow");
      assert.equal((await call(approval, { method: "POST" })).status, 200);
      const redeemed = await post(metadata.mtls_endpoint_aliases.token_endpoint, {
        grant_type: cibaGrantType,
        auth_req_id,
      });
      assert.equal(redeemed.status, 200, redeemed.text);
      const headers = { authorization: `Bearer ${redeemed.body.access_token}` };
      assert.equal((await call(resource.resourceUrl, { headers, certificate, ca })).status, 200);
      assert.equal((await call(resource.resourceUrl, { headers, ca })).status, 401);
    });

  test("rejects an unknown variant, and lists the known ones", async () => {
    const server = start({
      file,
      args: ["--mode", "push"],
      folder: fileURLToPath(new URL(".", import.meta.url)),
    });
    assert.equal(await server.ended, 2);
    assert.match(server.errorOutput(), /--mode poll\|ping/);
  });
});
