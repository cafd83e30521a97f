/** Client authentication by secret (OpenID Connect Core §9), without a server; JWTs are in `client-assertion.test.ts`. */
import assert from "node:assert/strict";
import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { describe, test } from "node:test";
import { useEndpoints } from "@countersign/testing/endpoint/use-endpoints";
import { toBasicAuth } from "@countersign/testing/server/deployment";
import fc from "fast-check";

const endpoints = useEndpoints();
const post = (form: Readonly<Record<string, string>>, headers?: Readonly<Record<string, string>>) =>
  endpoints.post("/oauth/token", form, headers);

describe("client authentication", () => {
  test("sends WWW-Authenticate only with a 401 after an attempt with Basic", async () => {
    const tried = await post({ grant_type: "x" }, toBasicAuth({ id: endpoints.agent.id, secret: "wrong" }));
    assert.deepEqual([tried.status, tried.body.error], [401, "invalid_client"]);
    assert.match(tried.headers.get("www-authenticate") ?? "", /^Basic/);
    const posted = await post({
      grant_type: "x",
      client_id: endpoints.agent.id,
      client_secret: "wrong",
    });
    assert.deepEqual([posted.status, posted.headers.get("www-authenticate")], [401, null]);
    const none = await post({ grant_type: "x" });
    assert.deepEqual([none.status, none.headers.get("www-authenticate")], [401, null]);
  });

  test("form-decodes the Basic credentials", async () => {
    const { secret } = endpoints.agent;
    const encoded = Buffer.from(`agent%2D1:${secret.replaceAll("-", "%2D")}`).toString("base64");
    const { body } = await post({ grant_type: "x" }, { authorization: `Basic ${encoded}` });
    assert.equal(body.error, "unsupported_grant_type");
  });

  test("rejects a secret followed by NUL bytes (T53)", async () => {
    const { id, secret } = endpoints.agent;
    for (const tail of ["\0", "\0\0\0\0", " "])
      assert.equal((await post({ grant_type: "x" }, toBasicAuth({ id, secret: secret + tail }))).status, 401);
  });

  test("rejects a method other than the registered one, and two methods at once (T62)", async () => {
    const form = { grant_type: "x", client_id: endpoints.agent.id, client_secret: endpoints.agent.secret };
    assert.equal((await post(form)).status, 401, "registered for Basic");
    assert.equal((await post(form, toBasicAuth(endpoints.agent))).body.error, "invalid_request");
  });

  test("rejects an agent's credentials at API endpoints and an API's at agent endpoints", async () => {
    const introspected = await endpoints.post("/introspect", { token: "x" }, toBasicAuth(endpoints.agent));
    assert.equal(introspected.status, 401);
    assert.equal((await post({ grant_type: "x" }, toBasicAuth(endpoints.api))).status, 401);
  });

  test("returns the right error for any credentials", async () => {
    const text = fc.string({ unit: fc.constantFrom(...'aZ0:%+=& .-_"\\{}é\u00ff'.split("")) });
    const scheme = fc.constantFrom("Basic ", "basic", "Bearer ", "DPoP ", "", "Basic Basic ");
    const name = fc.constantFrom(
      "client_id",
      "client_secret",
      "client_assertion",
      "client_assertion_type",
      "grant_type",
    );
    await fc.assert(
      fc.asyncProperty(
        fc.option(fc.tuple(scheme, text, fc.boolean()), { nil: undefined }),
        fc.dictionary(name, fc.oneof(text, fc.constant("agent-1"), fc.constant("e30.e30.e30"))),
        async (credentials, form) => {
          const [prefix = "", value = "", encoded] = credentials ?? [];
          const authorization = prefix + (encoded ? Buffer.from(value).toString("base64") : value);
          const reply = await post(form, credentials && { authorization });
          const expected =
            reply.status === 401 ? ["invalid_client"] : ["invalid_request", "unsupported_grant_type"];
          assert.ok(
            [400, 401].includes(reply.status) && expected.includes(reply.body.error),
            JSON.stringify(reply),
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  test("compares once for an unknown client, another method and a wrong secret alike", async (t) => {
    await endpoints.addAgent({ id: "signing-agent", credential: { method: "private_key_jwt" } });
    const compared = t.mock.method(crypto, "timingSafeEqual");
    syncBuiltinESMExports();
    for (const id of [endpoints.agent.id, "nobody", "signing-agent", endpoints.api.id])
      for (const path of ["/oauth/token", "/introspect"] as const) {
        const reply = await endpoints.post(path, { token: "x" }, toBasicAuth({ id, secret: "wrong" }));
        assert.deepEqual([reply.status, compared.mock.callCount()], [401, 1], `${id} at ${path}`);
        compared.mock.resetCalls();
      }
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
});
