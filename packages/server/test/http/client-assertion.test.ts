/** Replay of client assertions (RFC 7523) on a whole server, also after a restart. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import { issuer } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { createSecretSeal } from "../../src/crypto/seal.ts";
import { addAgent, type NewAgent } from "../../src/usecase/client/client-lifecycle.ts";

const deployment = useDeployment({ approvers: [] });

async function add(agent: Omit<NewAgent, "name" | "types">): Promise<string> {
  const added = await addAgent(deployment.server.store, { name: "JWT", types: ["refund"], ...agent });
  assert.ok(!("refused" in added));
  return added.secret ?? "";
}

/** Adds an agent of the method `id`, and signs an assertion with its key. */
const signers = {
  private_key_jwt: async (id: string) => {
    const { publicKey, privateKey } = await generateKeyPair("ES256");
    const jwks = [await exportJWK(publicKey)] as never;
    await add({ id, credential: { method: "private_key_jwt" }, keys: { from: "registration", jwks } });
    return signAssertion(id, "ES256", privateKey);
  },
  client_secret_jwt: async (id: string) => {
    const { seal } = createSecretSeal(deployment.rootKey);
    const secret = await add({ id, credential: { method: "client_secret_jwt", seal } });
    return signAssertion(id, "HS256", new TextEncoder().encode(secret));
  },
} as const;

function signAssertion(id: string, alg: string, key: CryptoKey | Uint8Array): Promise<string> {
  const now = Math.floor(deployment.clock.now / 1000);
  return new SignJWT({ iss: id, sub: id, aud: issuer, iat: now, exp: now + 60, jti: crypto.randomUUID() })
    .setProtectedHeader({ alg })
    .sign(key);
}

describe("client assertion replay", () => {
  for (const [method, createAssertion] of Object.entries(signers))
    test(`${method}: accepts one of thirty concurrent uses of an assertion, and none after a restart (T46, T47)`, async () => {
      const client_assertion = await createAssertion(method);
      const client_assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
      const form = { grant_type: cibaGrantType, auth_req_id: "x.y", client_assertion, client_assertion_type };
      const poll = () => deployment.post("/oauth/token", form);
      const replies = await Promise.all(Array.from({ length: 30 }, poll));
      assert.equal(replies.filter(({ body }) => body.error === "invalid_grant").length, 1);
      assert.equal(replies.filter(({ body }) => body.error === "invalid_client").length, 29);
      await deployment.restart();
      assert.equal((await poll()).body.error, "invalid_client");
    });
});
