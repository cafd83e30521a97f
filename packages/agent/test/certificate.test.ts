/** The SDK with client certificates against the real server, over TLS, at the mutual TLS listener. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Agent, type AgentOptions, type Approved, createAgent } from "@countersign/agent";
import { mtlsFetch } from "@countersign/agent/mtls";
import type { JsonObject } from "@countersign/protocol";
import { type Certificate, createSelfSigned } from "@countersign/testing/server/certificate";
import { type Person, refund, toRequestId } from "@countersign/testing/server/deployment";
import { useListeners } from "@countersign/testing/server/listeners";
import { beforeTests } from "@countersign/testing/server/use-resource";
import { decodeJwt } from "jose";

const listeners = useListeners(({ port, mtlsPort, folder }) => ({
  listen: { port, tls: { certificate: `${folder}/server.pem`, key: `${folder}/server.key` } },
  mtls: {
    url: `https://localhost:${mtlsPort}`,
    listen: { port: mtlsPort },
    authorities: `${folder}/authority.pem`,
  },
}));
let ada: Person;
beforeTests(async () => {
  ada = await listeners.deployment.enrol("ada@example.com");
});

let agents = 0;
async function registerAgent(
  metadata: JsonObject,
  { certificate: cert, key }: Certificate,
  options: AgentOptions,
) {
  agents += 1;
  const { id: clientId, secret } = await listeners.deployment.registerAgent(`sdk-${agents}`, metadata);
  return createAgent(
    { issuer: listeners.issuer, clientId, ...(secret && { clientSecret: secret }) } as never,
    {
      fetch: mtlsFetch({ cert, key, ca: listeners.authority.ca }),
      clock: {
        now: () => listeners.deployment.clock.now,
        elapsed: () => listeners.deployment.clock.now,
        sleep: async () => {},
      },
      ...options,
    },
  );
}

let orders = 0;
async function approvedBy(agent: Agent): Promise<Approved> {
  orders += 1;
  const asked = await agent.ask({ action: { ...refund, order: `M-${orders}` }, approver: "owner" });
  assert(asked.outcome === "asked", JSON.stringify(asked));
  const waiting = agent.wait(asked.ask);
  await ada.decide(toRequestId(asked.ask.authReqId), "approve");
  const outcome = await waiting;
  assert(outcome.outcome === "approved", JSON.stringify(outcome));
  return outcome;
}

describe("agent with a certificate", () => {
  test("authenticates the agent by the name of its certificate, or by a self-signed one", async () => {
    const named = await listeners.authority.issueForClient("CN=sdk");
    const own = await createSelfSigned("CN=own");
    for (const [method, certificate, more] of [
      ["tls_client_auth", named, { tls_client_auth_subject_dn: "CN=sdk" }],
      ["self_signed_tls_client_auth", own, { jwks: { keys: [own.publicJwk as JsonObject] } }],
    ] as const) {
      const metadata = { token_endpoint_auth_method: method, ...more };
      const options = { clientAuthentication: method };
      assert.equal(
        (await approvedBy(await registerAgent(metadata, certificate, options))).approver,
        ada.approver,
      );
      const stranger = await registerAgent(metadata, await createSelfSigned("CN=sdk"), options);
      const refused = await stranger.ask({ action: refund, approver: "owner" });
      assert(refused.outcome === "refused");
      assert.equal(refused.error, "invalid_client");
    }
  });

  test("binds a token to the agent's certificate, also with another client authentication", async () => {
    const certificate = await createSelfSigned("CN=bound");
    const metadata = { tls_client_certificate_bound_access_tokens: true };
    const agent = await registerAgent(metadata, certificate, { certificateBound: true });
    const { token, tokenType } = await approvedBy(agent);
    assert.equal(tokenType, "Bearer");
    assert.deepEqual(decodeJwt(token).cnf, { "x5t#S256": certificate.thumbprint });
  });
});
