/** Tokens that are bound to the certificate with which the agent opened the connection (RFC 8705 §3). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import { createSelfSigned } from "@countersign/testing/server/certificate";
import { issuer, refund, toBasicAuth, toRequestId } from "@countersign/testing/server/deployment";
import { createProofKey } from "@countersign/testing/server/dpop-key";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { beforeTests } from "@countersign/testing/server/use-resource";
import { decodeJwt } from "jose";
import { anonymousPeer, type TlsPeer, toClientCertificate } from "../../src/http/transport/peer.ts";
import { addAgent } from "../../src/usecase/client/client-lifecycle.ts";

const deployment = useDeployment();
let bound: { readonly id: string; readonly secret: string };
let peer: TlsPeer & Required<Pick<TlsPeer, "certificate">>;
beforeTests(async () => {
  const added = await addAgent(deployment.server.store, {
    id: "agent-mtls",
    name: "Bound agent",
    types: ["refund"],
    credential: { method: "client_secret_basic" },
    binding: "mtls",
  });
  assert.ok("secret" in added);
  bound = { id: "agent-mtls", secret: added.secret ?? "" };
  const { der } = await createSelfSigned("CN=agent-mtls");
  peer = { certificate: toClientCertificate(der, false) };
});

let orders = 0;
async function approved(agent = bound): Promise<string> {
  orders += 1;
  const details = JSON.stringify([{ ...refund, order: `C-${orders}` }]);
  const asked = await deployment.ask({ authorization_details: details }, toBasicAuth(agent));
  await deployment.ada.decide(toRequestId(asked.body.auth_req_id), "approve");
  return asked.body.auth_req_id;
}
async function redeem(authReqId: string, from: TlsPeer, { agent = bound, headers = {} } = {}) {
  const request = new Request(`${issuer}/oauth/token`, {
    method: "POST",
    headers: { ...toBasicAuth(agent), ...headers },
    body: new URLSearchParams({ grant_type: cibaGrantType, auth_req_id: authReqId }),
  });
  const response = await deployment.server.fetch(request, from);
  return { status: response.status, body: (await response.json()) as Record<string, any> };
}

describe("certificate-bound tokens", () => {
  test("binds the token to the certificate of the connection; its type is Bearer", async () => {
    const { status, body } = await redeem(await approved(), peer);
    assert.deepEqual([status, body.token_type], [200, "Bearer"]);
    const cnf = { "x5t#S256": peer.certificate.thumbprint };
    assert.deepEqual(decodeJwt(body.access_token).cnf, cnf);
    const { body: said } = await deployment.post(
      "/introspect",
      { token: body.access_token },
      toBasicAuth(deployment.api),
    );
    assert.deepEqual([said.token_type, said.cnf], ["Bearer", cnf]);
  });

  test("rejects a poll without a certificate if bound tokens are required; the approval stays", async () => {
    const authReqId = await approved();
    const refused = await redeem(authReqId, anonymousPeer);
    assert.deepEqual([refused.status, refused.body.error], [400, "invalid_request"]);
    assert.equal((await redeem(authReqId, peer)).status, 200);
  });

  test("ignores a certificate in a header", async () => {
    const pem = (await createSelfSigned("CN=agent-mtls")).certificate;
    const headers = { "x-client-cert": encodeURIComponent(pem), "client-cert": "x", "x-ssl-cert": "x" };
    assert.equal((await redeem(await approved(), anonymousPeer, { headers })).body.error, "invalid_request");
  });

  test("rejects a DPoP proof beside a certificate, and does not consume the approval", async () => {
    const key = await createProofKey();
    const dpop = await key.prove({ htu: `${issuer}/oauth/token`, now: deployment.clock.now });
    const authReqId = await approved();
    const refused = await redeem(authReqId, peer, { headers: { dpop } });
    assert.deepEqual([refused.status, refused.body.error], [400, "invalid_request"]);
    const other = await redeem(await approved(deployment.agent), anonymousPeer, {
      agent: deployment.agent,
      headers: { dpop },
    });
    assert.equal(other.body.token_type, "DPoP");
  });

  test("issues an unbound token to an agent that is not registered for bound ones", async () => {
    const { body } = await redeem(await approved(deployment.agent), peer, { agent: deployment.agent });
    assert.equal(decodeJwt(body.access_token).cnf, undefined);
  });
});
