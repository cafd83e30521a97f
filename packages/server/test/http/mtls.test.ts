/** Clients with certificates, over real TLS: the second door, the only door, and what a proxy passes on. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Certificate, createSelfSigned } from "@countersign/testing/server/certificate";
import { refund, toRequestId } from "@countersign/testing/server/deployment";
import { type Listeners, openListeners, useListeners } from "@countersign/testing/server/listeners";
import type { TlsFetch } from "@countersign/testing/server/tls-fetch";
import { beforeTests } from "@countersign/testing/server/use-resource";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import * as client from "openid-client";
import { addAgent, type NewAgent } from "../../src/usecase/client/client-lifecycle.ts";

const tlsFiles = (folder: string) => ({ certificate: `${folder}/server.pem`, key: `${folder}/server.key` });

const listeners = useListeners(({ port, mtlsPort, folder }) => ({
  listen: { port, tls: tlsFiles(folder) },
  mtls: {
    url: `https://localhost:${mtlsPort}`,
    listen: { port: mtlsPort },
    authorities: `${folder}/authority.pem`,
  },
}));
let named: Certificate;
let own: Certificate;
beforeTests(async () => {
  named = await listeners.authority.issueForClient("CN=named");
  own = await createSelfSigned("CN=own", { algorithm: "RS256" });
  await admit(listeners, "named", { method: "tls_client_auth", name: "subject_dn", value: "CN=named" });
  await admit(listeners, "own", { method: "self_signed_tls_client_auth" }, own.publicJwk);
});

async function admit(
  { deployment }: Listeners,
  id: string,
  credential: NewAgent["credential"],
  jwk?: object,
) {
  const keys = jwk && { keys: { from: "registration" as const, jwks: [jwk] as never } };
  await addAgent(deployment.server.store, { id, name: id, types: ["refund"], credential, ...keys });
}

/** `unsupported_grant_type` is what an authenticated client hears. */
async function call(
  fetch: TlsFetch,
  url: string,
  client_id: string,
  headers: Record<string, string> = {},
): Promise<string> {
  const body = new URLSearchParams({ grant_type: "x", client_id });
  const answer = await fetch(`${url}/oauth/token`, { method: "POST", body, headers });
  return (await answer.json()).error;
}
const known = "unsupported_grant_type";

describe("mtls.url", () => {
  test("publishes the methods and the endpoint aliases in metadata", async () => {
    const document = await (
      await listeners.createFetch()(`${listeners.issuer}/.well-known/openid-configuration`)
    ).json();
    assert.ok(document.token_endpoint_auth_methods_supported.includes("tls_client_auth"));
    assert.ok(document.token_endpoint_auth_methods_supported.includes("self_signed_tls_client_auth"));
    for (const [name, url] of Object.entries<string>(document.mtls_endpoint_aliases))
      assert.equal(url, document[name].replace(listeners.issuer, listeners.mtls));
    for (const name of ["token_endpoint", "backchannel_authentication_endpoint", "revocation_endpoint"])
      assert.ok(document.mtls_endpoint_aliases[name]);
  });

  for (const id of ["named", "own"])
    test(`accepts the certificate of ${id} from an unchanged openid-client`, async () => {
      const certificate = id === "named" ? named : own;
      const fetch = listeners.createFetch(certificate) as client.CustomFetch;
      const metadata = { use_mtls_endpoint_aliases: true };
      const config = await client.discovery(new URL(listeners.issuer), id, metadata, client.TlsClientAuth(), {
        [client.customFetch]: fetch,
      });
      config[client.customFetch] = fetch;
      const ada = await listeners.deployment.enrol(`ada@example.com`);
      const asked = await client.initiateBackchannelAuthentication(config, {
        scope: "openid",
        login_hint: "ada@example.com",
        authorization_details: JSON.stringify([{ ...refund, order: `O-${id}` }]),
      });
      await ada.decide(toRequestId(asked.auth_req_id), "approve");
      const quickly = { ...asked, interval: 0.01 };
      const granted = await client.pollBackchannelAuthenticationGrant(config, quickly);
      assert.deepEqual(granted.authorization_details, [{ ...refund, order: `O-${id}` }]);
    });

  test("accepts an alias of an endpoint as audience of a client assertion", async () => {
    const { publicKey, privateKey } = await generateKeyPair("ES256", { extractable: true });
    await admit(listeners, "signs", { method: "private_key_jwt" }, await exportJWK(publicKey));
    for (const [aud, expected] of [
      [`${listeners.mtls}/oauth/token`, known],
      [listeners.mtls, "invalid_client"],
    ] as const) {
      const claims = { iss: "signs", sub: "signs", aud, jti: crypto.randomUUID() };
      const signed = new SignJWT(claims).setProtectedHeader({ alg: "ES256" }).setExpirationTime("1m");
      const body = new URLSearchParams({
        grant_type: "x",
        client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        client_assertion: await signed.sign(privateKey),
      });
      const answer = await listeners.createFetch()(`${listeners.mtls}/oauth/token`, { method: "POST", body });
      assert.equal((await answer.json()).error, expected, aud);
    }
  });

  test("rejects a wrong certificate, an untrusted one, and none", async () => {
    const stranger = await listeners.authority.issueForClient("CN=stranger");
    const forged = await createSelfSigned("CN=named");
    for (const caller of [stranger, forged, own, undefined])
      assert.equal(await call(listeners.createFetch(caller), listeners.mtls, "named"), "invalid_client");
    for (const caller of [stranger, named, forged, undefined])
      assert.equal(await call(listeners.createFetch(caller), listeners.mtls, "own"), "invalid_client");
  });

  test("rejects an expired certificate and one issued for servers", async () => {
    const { authority } = listeners;
    await admit(listeners, "server", { method: "tls_client_auth", name: "san_dns", value: "agent.example" });
    const serving = await authority.issueForServer("agent.example");
    const names = [{ type: "dns" as const, value: "agent.example" }];
    const until = new Date(Date.now() - 1000);
    const ended = await authority.issueForClient("CN=x", { names, until });
    assert.equal(await call(listeners.createFetch(serving), listeners.mtls, "server"), "invalid_client");
    assert.equal(await call(listeners.createFetch(ended), listeners.mtls, "server"), "invalid_client");
    assert.equal(
      await call(
        listeners.createFetch(await authority.issueForClient("CN=x", { names })),
        listeners.mtls,
        "server",
      ),
      known,
    );
  });

  test("requests and accepts no certificate at the main listener", async () => {
    assert.equal(await call(listeners.createFetch(named), listeners.mtls, "named"), known);
    assert.equal(await call(listeners.createFetch(named), listeners.issuer, "named"), "invalid_client");
  });

  test("serves no pages at the listener for certificates", async () => {
    const status = async (url: string, path: string) => (await listeners.createFetch()(url + path)).status;
    for (const path of ["/sign-in", "/authorize", "/requests/req_x"]) {
      assert.notEqual(await status(listeners.issuer, path), 404, path);
      assert.equal(await status(listeners.mtls, path), 404, path);
    }
    for (const path of ["/jwks", "/.well-known/openid-configuration"])
      assert.equal(await status(listeners.mtls, path), 200, path);
  });

  test("requests but does not require a certificate if it is the issuer's URL", async (t) => {
    const single = await openListeners(({ port, folder }) => ({
      listen: { port, tls: tlsFiles(folder) },
      mtls: { url: `https://localhost:${port}` },
    }));
    t.after(() => single.close());
    await admit(single, "own", { method: "self_signed_tls_client_auth" }, own.publicJwk);
    await admit(single, "named", { method: "tls_client_auth", name: "subject_dn", value: "CN=named" });
    assert.equal(await call(single.createFetch(own), single.issuer, "own"), known);
    assert.equal(await call(single.createFetch(), single.issuer, "own"), "invalid_client");
    assert.equal((await single.createFetch()(`${single.issuer}/sign-in`)).status, 200);
    // Nobody vouches for anybody here: without authorities of its own, those of the machine do not step in.
    const vouched = await single.authority.issueForClient("CN=named");
    assert.equal(await call(single.createFetch(vouched), single.issuer, "named"), "invalid_client");
    const document = await (
      await single.createFetch()(`${single.issuer}/.well-known/openid-configuration`)
    ).json();
    assert.ok(!document.token_endpoint_auth_methods_supported.includes("tls_client_auth"));
    assert.ok(document.token_endpoint_auth_methods_supported.includes("self_signed_tls_client_auth"));
  });

  test("uses the certificate of the connection for each of its requests", async () => {
    const { Agent } = await import("node:https");
    const agent = new Agent({
      keepAlive: true,
      maxSockets: 1,
      ca: listeners.authority.ca,
      cert: named.certificate,
      key: named.key,
    });
    const { request } = await import("node:https");
    const sockets = new Set();
    for (let at = 0; at < 3; at += 1) {
      const error = await new Promise((resolve, reject) => {
        const headers = { "content-type": "application/x-www-form-urlencoded" };
        const outgoing = request(
          `${listeners.mtls}/oauth/token`,
          { method: "POST", agent, headers },
          (incoming) => {
            incoming.once("data", (body) => resolve(JSON.parse(String(body)).error));
          },
        );
        outgoing.once("socket", (socket) => sockets.add(socket));
        outgoing.once("error", reject);
        outgoing.end("grant_type=x&client_id=named");
      });
      assert.equal(error, known);
    }
    assert.equal(sockets.size, 1);
    agent.destroy();
  });
});
