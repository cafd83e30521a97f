/** A proxy in front ends TLS, and passes the client's certificate on in a header (RFC 9440). */
import assert from "node:assert/strict";
import { request } from "node:http";
import { describe, test } from "node:test";
import { type Certificate, createSelfSigned } from "@countersign/testing/server/certificate";
import { type Listeners, useListeners } from "@countersign/testing/server/listeners";
import { beforeTests } from "@countersign/testing/server/use-resource";
import { addAgent } from "../../src/usecase/client/client-lifecycle.ts";

const listeners = useListeners(
  ({ port }) => ({
    listen: { port },
    mtls: {
      url: "https://mtls.example",
      proxy: { addresses: ["127.0.0.2", "10.0.0.0/8"], verified: true },
    },
  }),
  "http",
);
const separateListeners = useListeners(
  ({ port, mtlsPort }) => ({
    listen: { port },
    mtls: {
      url: "https://mtls.example",
      listen: { port: mtlsPort },
      proxy: { header: "X-SSL-Cert", addresses: ["127.0.0.0/8"], verified: false },
    },
  }),
  "http",
);
let named: Certificate;
let own: Certificate;
beforeTests(async () => {
  named = await createSelfSigned("CN=named");
  own = await createSelfSigned("CN=own");
  for (const { deployment } of [listeners, separateListeners]) {
    const common = { types: ["refund"] };
    await addAgent(deployment.server.store, {
      ...common,
      id: "named",
      name: "Named",
      credential: { method: "tls_client_auth", name: "subject_dn", value: "CN=named" },
    });
    await addAgent(deployment.server.store, {
      ...common,
      id: "own",
      name: "Own",
      credential: { method: "self_signed_tls_client_auth" },
      keys: { from: "registration", jwks: [own.publicJwk as never] },
    });
  }
});
type Sent = {
  readonly id?: string;
  readonly from?: string;
  readonly port: number;
  readonly headers: Record<string, string | string[]>;
};

/** As a proxy, or somebody who plays one, from an address of this machine. */
function call({ id = "named", from = "127.0.0.2", port, headers }: Sent): Promise<readonly [number, string]> {
  return new Promise((resolve, reject) => {
    const form = { "content-type": "application/x-www-form-urlencoded" };
    const options = { port, host: "127.0.0.1", localAddress: from, method: "POST", path: "/oauth/token" };
    const outgoing = request({ ...options, agent: false, headers: { ...form, ...headers } }, (incoming) => {
      incoming.once("data", (body) => resolve([incoming.statusCode ?? 0, JSON.parse(String(body)).error]));
    });
    outgoing.once("error", reject);
    outgoing.end(`grant_type=x&client_id=${id}`);
  });
}

const known = [400, "unsupported_grant_type"];
const unknown = [401, "invalid_client"];
const unreadable = [400, "invalid_request"];
const rfc9440 = ({ der }: Certificate) => `:${Buffer.from(der).toString("base64")}:`;
const portOf = ({ listener }: Listeners, at = 0) => listener.addresses[at]?.port ?? 0;

describe("mtls.proxy", () => {
  test("accepts the certificate in the header, in the forms of RFC 9440 and nginx", async () => {
    const port = portOf(listeners);
    assert.deepEqual(await call({ port, headers: { "client-cert": rfc9440(named) } }), known);
    assert.deepEqual(
      await call({ port, headers: { "Client-Cert": encodeURIComponent(named.certificate) } }),
      known,
    );
    assert.deepEqual(await call({ port, headers: { "client-cert": rfc9440(own) } }), unknown);
    assert.deepEqual(await call({ port, id: "own", headers: { "client-cert": rfc9440(own) } }), known);
    assert.deepEqual(await call({ port, headers: {} }), unknown);
  });

  test("ignores the header of any address but the proxy's", async () => {
    const port = portOf(listeners);
    for (const from of ["127.0.0.1", "127.0.0.3"])
      for (const value of [rfc9440(named), "nonsense"])
        assert.deepEqual(await call({ port, from, headers: { "client-cert": value } }), unknown, from);
    const claimed = {
      "client-cert": rfc9440(named),
      "x-forwarded-for": "127.0.0.2",
      forwarded: "for=127.0.0.2",
    };
    assert.deepEqual(await call({ port, from: "127.0.0.1", headers: claimed }), unknown);
  });

  test("ignores headers of other names", async () => {
    const port = portOf(listeners);
    for (const name of ["x-ssl-cert", "x-client-cert", "x-forwarded-client-cert"])
      assert.deepEqual(await call({ port, headers: { [name]: rfc9440(named) } }), unknown, name);
  });

  test("rejects a duplicate or unreadable header", async () => {
    const port = portOf(listeners);
    for (const value of [
      [rfc9440(own), rfc9440(named)],
      [rfc9440(named), rfc9440(named)],
      "",
      ":AAAA:",
      "(null)",
    ])
      assert.deepEqual(await call({ port, headers: { "client-cert": value } }), unreadable, String(value));
  });

  test("accepts only certificates that the agent registered if the proxy verifies no chain", async () => {
    const port = portOf(separateListeners, 1);
    assert.deepEqual(await call({ port, headers: { "x-ssl-cert": rfc9440(named) } }), unknown);
    assert.deepEqual(await call({ port, id: "own", headers: { "x-ssl-cert": rfc9440(own) } }), known);
  });

  test("accepts the header only at the proxy's own listener", async () => {
    const headers = { "x-ssl-cert": rfc9440(own) };
    assert.deepEqual(await call({ port: portOf(separateListeners, 0), id: "own", headers }), unknown);
    assert.deepEqual(await call({ port: portOf(separateListeners, 1), id: "own", headers }), known);
  });

  test("publishes the proxy's URL and the available methods in metadata", async () => {
    const methods = async ({ deployment }: Listeners) => {
      const document = await (await deployment.request("/.well-known/openid-configuration")).json();
      assert.equal(document.mtls_endpoint_aliases.token_endpoint, "https://mtls.example/oauth/token");
      return document.token_endpoint_auth_methods_supported.filter((method: string) =>
        method.includes("tls"),
      );
    };
    assert.deepEqual(await methods(listeners), ["tls_client_auth", "self_signed_tls_client_auth"]);
    assert.deepEqual(await methods(separateListeners), ["self_signed_tls_client_auth"]);
  });
});
