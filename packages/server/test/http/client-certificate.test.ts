/** Clients that prove themselves by the certificate of their connection, as whoever ended TLS reports it (RFC 8705 §2). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type Certificate,
  type CertificateAuthority,
  createCertificateAuthority,
  createSelfSigned,
} from "@countersign/testing/server/certificate";
import { issuer, toBasicAuth } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { beforeTests } from "@countersign/testing/server/use-resource";
import type { AuthenticationMethod, CertificateName } from "../../src/domain/client/client.ts";
import { type TlsPeer, toClientCertificate } from "../../src/http/transport/peer.ts";
import { addAgent, type NewAgent } from "../../src/usecase/client/client-lifecycle.ts";

const deployment = useDeployment({ now: Date.now, approvers: [] });
let authority: CertificateAuthority;
beforeTests(async () => {
  authority = await createCertificateAuthority();
});

let agents = 0;
async function add(
  credential: NewAgent["credential"],
  jwks?: readonly object[],
): Promise<{ readonly id: string; readonly secret: string }> {
  agents += 1;
  const id = `tls-${agents}`;
  const keys = jwks && { keys: { from: "registration" as const, jwks: jwks as never } };
  const added = await addAgent(deployment.server.store, {
    id,
    name: id,
    types: ["refund"],
    credential,
    ...keys,
  });
  assert.ok(!("refused" in added));
  return { id, secret: added.secret ?? "" };
}

async function named(name: CertificateName, value: string): Promise<string> {
  return (await add({ method: "tls_client_auth", name, value })).id;
}

const peer = ({ der }: Certificate, verified = true): TlsPeer => ({
  certificate: toClientCertificate(der, verified),
});

/** `unsupported_grant_type` is what an authenticated client hears. */
async function call(
  form: Record<string, string>,
  from?: TlsPeer,
  headers: Record<string, string> = {},
): Promise<string> {
  const request = new Request(`${issuer}/oauth/token`, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
    body: new URLSearchParams({ grant_type: "x", ...form }),
  });
  const answer = await deployment.server.fetch(request, from);
  const { error } = await answer.json();
  assert.equal(answer.status, error === "invalid_client" ? 401 : 400);
  assert.equal(answer.headers.has("www-authenticate"), "authorization" in headers && answer.status === 401);
  return error;
}
const known = "unsupported_grant_type";

describe("tls_client_auth", () => {
  test("compares the subject as a distinguished name, not as text", async () => {
    const certificate = await authority.issueForClient([
      { C: ["SE"] },
      { O: [{ utf8String: "Räksmörgås, Ltd" }] },
      { OU: ["desk"], CN: ["agent"] },
    ]);
    for (const dn of [
      "CN=agent+OU=desk,O=Räksmörgås\\, Ltd,C=SE",
      "ou=desk + cn=agent, o=R\\C3\\A4ksm\\C3\\B6rg\\C3\\A5s\\2c Ltd, C=SE",
      "2.5.4.3=agent+2.5.4.11=desk,2.5.4.10=Räksmörgås\\, Ltd,2.5.4.6=#13025345",
    ])
      assert.equal(await call({ client_id: await named("subject_dn", dn) }, peer(certificate)), known, dn);
    for (const dn of [
      "CN=agent,OU=desk,O=Räksmörgås\\, Ltd,C=SE",
      "C=SE,O=Räksmörgås\\, Ltd,CN=agent+OU=desk",
      "CN=agent+OU=desk,O=Räksmörgås\\, Ltd",
      "CN=Agent+OU=desk,O=Räksmörgås\\, Ltd,C=SE",
      "CN=agent",
      "not a name",
      "",
    ])
      assert.equal(
        await call({ client_id: await named("subject_dn", dn) }, peer(certificate)),
        "invalid_client",
        dn,
      );
  });

  test("rejects a subject with another name inside an attribute value", async () => {
    const evil = await authority.issueForClient([{ CN: [{ utf8String: "agent,O=Bank" }] }]);
    const lines = await authority.issueForClient([{ CN: [{ utf8String: "x\\nCN=agent" }] }]);
    assert.equal(
      await call({ client_id: await named("subject_dn", "CN=agent,O=Bank") }, peer(evil)),
      "invalid_client",
    );
    assert.equal(
      await call({ client_id: await named("subject_dn", "CN=agent") }, peer(lines)),
      "invalid_client",
    );
    assert.equal(
      await call({ client_id: await named("subject_dn", "CN=agent\\,O=Bank") }, peer(evil)),
      known,
    );
  });

  test("accepts one alternative name of the registered kind, and none of another kind", async () => {
    const certificate = await authority.issueForClient("CN=agent", {
      names: [
        { type: "dns", value: "Agent.example, DNS:evil.example" },
        { type: "dns", value: "agent.example" },
        { type: "dns", value: "*.wild.example" },
        { type: "url", value: "https://agent.example/a?b=1,2" },
        { type: "ip", value: "2001:db8::1" },
        { type: "ip", value: "10.0.0.1" },
        { type: "email", value: "Agent@example.com" },
      ],
    });
    const good: readonly (readonly [CertificateName, string])[] = [
      ["san_dns", "AGENT.example"],
      ["san_dns", "*.wild.example"],
      ["san_uri", "https://agent.example/a?b=1,2"],
      ["san_ip", "2001:0DB8:0::0001"],
      ["san_ip", "10.0.0.1"],
      ["san_email", "Agent@EXAMPLE.com"],
    ];
    const wrong: readonly (readonly [CertificateName, string])[] = [
      ["san_dns", "evil.example"],
      ["san_dns", "a.wild.example"],
      ["san_dns", "agent"],
      ["san_uri", "https://agent.example/A?b=1,2"],
      ["san_uri", "agent.example"],
      ["san_ip", "10.0.0.2"],
      ["san_ip", "::ffff:10.0.0.2"],
      ["san_email", "agent@example.com"],
      ["san_email", "agent.example"],
    ];
    for (const [name, value] of good)
      assert.equal(await call({ client_id: await named(name, value) }, peer(certificate)), known, value);
    for (const [name, value] of wrong)
      assert.equal(
        await call({ client_id: await named(name, value) }, peer(certificate)),
        "invalid_client",
        value,
      );
  });

  test("rejects the registered name without a trusted authority", async () => {
    const id = await named("subject_dn", "CN=agent");
    const certificate = await createSelfSigned("CN=agent");
    assert.equal(await call({ client_id: id }, peer(certificate, false)), "invalid_client");
    assert.equal(await call({ client_id: id }, peer(await authority.issueForClient("CN=agent"))), known);
  });
});

describe("self_signed_tls_client_auth", () => {
  test("accepts any certificate of a registered key, and none of another", async () => {
    const own = await createSelfSigned("CN=agent");
    const rsa = await createSelfSigned("CN=agent", { algorithm: "RS256" });
    const foreign = await createSelfSigned("CN=agent");
    const { id } = await add({ method: "self_signed_tls_client_auth" }, [
      { kty: "EC" },
      own.publicJwk,
      rsa.publicJwk,
    ]);
    assert.equal(await call({ client_id: id }, peer(own, false)), known);
    assert.equal(await call({ client_id: id }, peer(rsa, false)), known);
    assert.equal(await call({ client_id: id }, peer(foreign, false)), "invalid_client");
    assert.equal(await call({ client_id: id }, peer(foreign, true)), "invalid_client");
  });

  test("accepts only the registered certificate of a key with x5c", async () => {
    const first = await createSelfSigned("CN=agent");
    const second = await createSelfSigned("CN=agent");
    const { id } = await add({ method: "self_signed_tls_client_auth" }, [
      { ...first.publicJwk, x5c: [Buffer.from(second.der).toString("base64")] },
    ]);
    assert.equal(await call({ client_id: id }, peer(first, false)), "invalid_client");
    assert.equal(await call({ client_id: id }, peer(second, false)), known);
  });

  test("rejects a certificate before and after its validity period", async () => {
    const now = Math.floor(deployment.clock.now / 1000) * 1000;
    const [from, until] = [new Date(now), new Date(now + 60_000)];
    const certificate = await createSelfSigned("CN=agent", { from, until });
    const { id } = await add({ method: "self_signed_tls_client_auth" }, [certificate.publicJwk]);
    const outcomes: string[] = [];
    const kept = deployment.clock.now;
    for (const at of [now - 1, now, now + 59_999, now + 60_000]) {
      deployment.clock.now = at;
      outcomes.push(await call({ client_id: id }, peer(certificate, false)));
    }
    deployment.clock.now = kept;
    assert.deepEqual(outcomes, ["invalid_client", known, known, "invalid_client"]);
  });
});

describe("client certificates", () => {
  test("require the client_id of a registered agent", async () => {
    const certificate = peer(await authority.issueForClient("CN=agent"));
    await named("subject_dn", "CN=agent");
    assert.equal(await call({}, certificate), "invalid_client");
    assert.equal(await call({ client_id: "nobody" }, certificate), "invalid_client");
  });

  test("rejects a malformed certificate without a fault", async () => {
    const id = await named("subject_dn", "CN=agent");
    const odd = { certificate: toClientCertificate(new Uint8Array([48, 3, 2, 1, 1]), true) };
    assert.equal(await call({ client_id: id }, odd), "invalid_client");
  });

  test("accepts only the registered authentication method (T62)", async () => {
    const certificate = await authority.issueForClient("CN=agent");
    const jwks = [certificate.publicJwk];
    const others: Record<Exclude<AuthenticationMethod, "client_secret_jwt">, NewAgent["credential"]> = {
      client_secret_basic: { method: "client_secret_basic" },
      client_secret_post: { method: "client_secret_post" },
      private_key_jwt: { method: "private_key_jwt" },
      tls_client_auth: { method: "tls_client_auth", name: "subject_dn", value: "CN=agent" },
      self_signed_tls_client_auth: { method: "self_signed_tls_client_auth" },
    };
    for (const [method, credential] of Object.entries(others)) {
      const { id, secret } = await add(credential, jwks);
      const byCertificate = await call({ client_id: id }, peer(certificate));
      assert.equal(byCertificate, method.includes("tls") ? known : "invalid_client", method);
      const posted = await call({ client_id: id, client_secret: secret || "x" }, peer(certificate));
      assert.equal(posted, method === "client_secret_post" ? known : "invalid_client", method);
      const sent = await call({}, peer(certificate), toBasicAuth({ id, secret: secret || "x" }));
      assert.equal(sent, method === "client_secret_basic" ? known : "invalid_client", method);
    }
  });

  test("ignores certificates in headers", async () => {
    const id = await named("subject_dn", "CN=agent");
    const { der, certificate } = await authority.issueForClient("CN=agent");
    for (const [name, value] of [
      ["client-cert", `:${Buffer.from(der).toString("base64")}:`],
      ["x-ssl-client-cert", encodeURIComponent(certificate)],
      ["x-forwarded-client-cert", `Cert="${encodeURIComponent(certificate)}"`],
    ] as const)
      assert.equal(await call({ client_id: id }, undefined, { [name]: value }), "invalid_client", name);
  });
});
