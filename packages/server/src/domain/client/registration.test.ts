import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import { cibaGrantType, type JsonObject } from "@countersign/protocol";
import { createPolicy, refundDeclaration } from "@countersign/testing/audit/action-fixture";
import { createCertificateAuthority } from "@countersign/testing/server/certificate";
import fc from "fast-check";
import type { ActionPolicy } from "../action/action-type.ts";
import { type Agent, authenticationMethods } from "./client.ts";
import { toClientMetadata } from "./metadata.ts";
import { type Registration, type RegistrationPolicy, readRegistration } from "./registration.ts";
import { toTypeMetadata } from "./type-metadata.ts";

const types = new Map<string, ActionPolicy>([
  ["refund", createPolicy({ ...refundDeclaration, reversibility: "irreversible" })],
  ["remind", createPolicy({ ...refundDeclaration, type: "remind", reversibility: "reversible" })],
  [
    "calendar.clear",
    createPolicy({
      type: "calendar.clear",
      scope: "calendar.clear",
      audience: "https://calendar.example",
      schema: { type: "object", additionalProperties: false, properties: {} },
      bound: [],
      sentence: "Delete every event",
      rows: [],
      approvers: { people: ["ada@example.com"], groups: [] },
    }),
  ],
]);
const outbound = { allowPrivate: [], allowHttp: false };
const policy: RegistrationPolicy = { types, outbound, methods: authenticationMethods };

function publicJwk(kind: "ec" | "rsa" | "weak" | "ed25519" | "p384"): JsonObject {
  const { publicKey } = {
    ec: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
    p384: () => generateKeyPairSync("ec", { namedCurve: "P-384" }),
    rsa: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
    weak: () => generateKeyPairSync("rsa", { modulusLength: 1024 }),
    ed25519: () => generateKeyPairSync("ed25519"),
  }[kind]();
  return publicKey.export({ format: "jwk" }) as JsonObject;
}

const ec = publicJwk("ec");
const endpoint = "https://agent.example/ping";

function read(metadata: JsonObject): Registration {
  const registration = readRegistration(metadata, policy);
  assert.ok(!("problems" in registration), JSON.stringify(registration));
  return registration;
}

function agentWith({ authMethod, ...registered }: Registration): Agent {
  const credential = { secretHash: "", sealedSecret: "", ...authMethod };
  const rest = { paused: false, createdAt: 0, source: "command" as const };
  return { id: "agent-1", name: "Agent", ...registered, credential, ...rest };
}

/** Returns the members with a problem. */
function invalidMembers(metadata: JsonObject): string[] {
  const result = readRegistration(metadata, policy);
  return "problems" in result ? result.problems.map(({ member }) => member) : [];
}

describe("readRegistration", () => {
  test("applies defaults: poll, client_secret_basic, every action type", () => {
    assert.deepEqual(read({}), {
      authMethod: { method: "client_secret_basic" },
      delivery: { mode: "poll" },
      userCode: false,
      types: ["refund", "remind", "calendar.clear"],
    });
  });

  test("reads every member", () => {
    const metadata = {
      token_endpoint_auth_method: "private_key_jwt",
      token_endpoint_auth_signing_alg: "ES256",
      jwks: { keys: [ec] },
      backchannel_token_delivery_mode: "ping",
      backchannel_client_notification_endpoint: endpoint,
      backchannel_authentication_request_signing_alg: "ES256",
      backchannel_user_code_parameter: true,
      dpop_bound_access_tokens: true,
      authorization_details_types: ["refund"],
      scope: "openid calendar.clear",
    };
    assert.deepEqual(read(metadata), {
      authMethod: { method: "private_key_jwt" },
      assertionAlgorithm: "ES256",
      keys: { from: "registration", jwks: [ec] },
      delivery: { mode: "ping", endpoint },
      requestAlgorithm: "ES256",
      userCode: true,
      binding: "dpop",
      types: ["refund", "calendar.clear"],
    });
  });

  test("reads back equal metadata for any registration", () => {
    const metadata = fc
      .record({
        method: fc.constantFrom(...authenticationMethods),
        keys: fc.constantFrom<JsonObject>(
          { jwks: { keys: [ec] } },
          { jwks_uri: "https://agent.example/jwks" },
        ),
        mode: fc.constantFrom("poll", "ping"),
        signed: fc.boolean(),
        backchannel_user_code_parameter: fc.boolean(),
        binding: fc.constantFrom<JsonObject>(
          {},
          { dpop_bound_access_tokens: true },
          { tls_client_certificate_bound_access_tokens: true },
        ),
        types: fc.subarray([...types.keys()], { minLength: 1 }),
      })
      .map(({ method, keys, mode, signed, binding, types: some, ...rest }) => ({
        token_endpoint_auth_method: method,
        ...(method === "tls_client_auth" && { tls_client_auth_san_dns: "agent.example" }),
        ...keys,
        backchannel_token_delivery_mode: mode,
        ...(mode === "ping" && { backchannel_client_notification_endpoint: endpoint }),
        ...(signed && { backchannel_authentication_request_signing_alg: "ES256" }),
        ...rest,
        ...binding,
        ...toTypeMetadata(some, types),
      }));
    fc.assert(
      fc.property(metadata, (submitted: JsonObject) => {
        const registered = read(submitted);
        const written = {
          ...toClientMetadata(agentWith(registered)),
          ...toTypeMetadata(registered.types, types),
        };
        assert.deepEqual(read(written), registered);
      }),
    );
  });

  test("ignores unknown members, and members of other grant types", () => {
    const metadata = {
      redirect_uris: ["http://localhost:3000/callback"],
      response_types: ["code"],
      grant_types: [cibaGrantType, "authorization_code"],
      client_name: "Payroll (official)",
      logo_uri: "https://agent.example/logo.png",
      contacts: ["root@agent.example"],
      application_type: "native",
      unknown_member: { a: "b" },
      scope: "openid profile offline_access",
    };
    assert.deepEqual(read(metadata), read({ scope: "openid" }));
  });

  const weak = publicJwk("weak");
  const invalid: readonly (readonly [string, JsonObject, readonly string[]])[] = [
    ["a grant type other than CIBA", { grant_types: ["authorization_code"] }, ["grant_types"]],
    ["redirect URIs that are not a list", { redirect_uris: "https://x.example" }, ["redirect_uris"]],
    ["a software statement", { software_statement: "e30.e30.x" }, ["software_statement"]],
    ["a pairwise subject", { subject_type: "pairwise" }, ["subject_type"]],
    [
      "ID tokens signed with an unsupported algorithm",
      { id_token_signed_response_alg: "RS256" },
      ["id_token_signed_response_alg"],
    ],
    [
      "encrypted ID tokens",
      { id_token_encrypted_response_alg: "RSA-OAEP" },
      ["id_token_encrypted_response_alg"],
    ],
    ["authentication method none", { token_endpoint_auth_method: "none" }, ["token_endpoint_auth_method"]],
    ["jwks together with jwks_uri", { jwks: { keys: [ec] }, jwks_uri: "https://x.example/" }, ["jwks"]],
    ["keys that are not a JWK Set", { jwks: [ec] }, ["jwks"]],
    ["a set without keys", { jwks: { keys: [] } }, ["jwks"]],
    ["a private key", { jwks: { keys: [{ ...ec, d: ec.x! }] } }, ["jwks"]],
    ["a symmetric key", { jwks: { keys: [{ kty: "oct", k: "c2VjcmV0" }] } }, ["jwks"]],
    ["an RSA key of 1024 bits", { jwks: { keys: [weak] } }, ["jwks"]],
    ["a key that is not on its curve", { jwks: { keys: [{ ...ec, y: ec.x! }] } }, ["jwks"]],
    ["an invalid certificate", { jwks: { keys: [{ ...ec, x5c: ["AAAA"] }] } }, ["jwks"]],
    [
      "private_key_jwt without keys",
      { token_endpoint_auth_method: "private_key_jwt" },
      ["token_endpoint_auth_method"],
    ],
    [
      "private_key_jwt without a signature key",
      { token_endpoint_auth_method: "private_key_jwt", jwks: { keys: [{ ...ec, use: "enc" }] } },
      ["jwks"],
    ],
    [
      "an algorithm without a matching key",
      {
        token_endpoint_auth_method: "private_key_jwt",
        token_endpoint_auth_signing_alg: "PS256",
        jwks: { keys: [ec] },
      },
      ["jwks"],
    ],
    [
      "assertions with alg none",
      {
        token_endpoint_auth_method: "private_key_jwt",
        token_endpoint_auth_signing_alg: "none",
        jwks: { keys: [ec] },
      },
      ["token_endpoint_auth_signing_alg"],
    ],
    [
      "client_secret_jwt with an asymmetric algorithm",
      { token_endpoint_auth_method: "client_secret_jwt", token_endpoint_auth_signing_alg: "ES256" },
      ["token_endpoint_auth_signing_alg"],
    ],
    [
      "self_signed_tls_client_auth without keys",
      { token_endpoint_auth_method: "self_signed_tls_client_auth" },
      ["token_endpoint_auth_method"],
    ],
    [
      "tls_client_auth without a name",
      { token_endpoint_auth_method: "tls_client_auth" },
      ["token_endpoint_auth_method"],
    ],
    [
      "tls_client_auth with two names",
      {
        token_endpoint_auth_method: "tls_client_auth",
        tls_client_auth_san_dns: "a.example",
        tls_client_auth_subject_dn: "CN=a",
      },
      ["token_endpoint_auth_method"],
    ],
    [
      "an invalid IP address",
      { token_endpoint_auth_method: "tls_client_auth", tls_client_auth_san_ip: "a.example" },
      ["tls_client_auth_san_ip"],
    ],
    [
      "a certificate name together with a secret",
      { tls_client_auth_san_dns: "a.example" },
      ["tls_client_auth_san_dns"],
    ],
    [
      "signed requests without keys",
      { backchannel_authentication_request_signing_alg: "ES256" },
      ["backchannel_authentication_request_signing_alg"],
    ],
    [
      "signed requests with an HMAC algorithm",
      { backchannel_authentication_request_signing_alg: "HS256" },
      ["backchannel_authentication_request_signing_alg"],
    ],
    [
      "ping without an endpoint",
      { backchannel_token_delivery_mode: "ping" },
      ["backchannel_client_notification_endpoint"],
    ],
    [
      "a notification endpoint with poll delivery",
      { backchannel_client_notification_endpoint: endpoint },
      ["backchannel_client_notification_endpoint"],
    ],
    [
      "text instead of a boolean",
      { backchannel_user_code_parameter: "true" },
      ["backchannel_user_code_parameter"],
    ],
    [
      "two bindings",
      { dpop_bound_access_tokens: true, tls_client_certificate_bound_access_tokens: true },
      ["dpop_bound_access_tokens"],
    ],
    [
      "an action type that is not declared",
      { authorization_details_types: ["refnud"] },
      ["authorization_details_types"],
    ],
    [
      "an action scope as a type",
      { authorization_details_types: ["calendar.clear"] },
      ["authorization_details_types"],
    ],
    ["a type as a scope", { scope: "openid refund" }, ["scope"]],
    [
      "an empty list of action types",
      { authorization_details_types: [], scope: "openid" },
      ["authorization_details_types"],
    ],
  ];
  for (const [what, metadata, members] of invalid)
    test(`refuses ${what} and names the member`, () => assert.deepEqual(invalidMembers(metadata), members));

  for (const url of [
    "http://agent.example/ping",
    "https://user:secret@agent.example/ping",
    "https://agent.example/ping#here",
    "https://127.0.0.1/ping",
    "https://[::1]/ping",
    "https://10.1.2.3/ping",
    "https://0x7f.1/ping",
    "/ping",
  ])
    test(`refuses ${url} as notification endpoint and jwks_uri (T35, T58)`, () => {
      const member = "backchannel_client_notification_endpoint";
      assert.deepEqual(invalidMembers({ backchannel_token_delivery_mode: "ping", [member]: url }), [member]);
      assert.deepEqual(invalidMembers({ jwks_uri: url }), ["jwks_uri"]);
    });

  test("allows push for unbound tokens and reversible actions only (T39)", () => {
    const push = {
      backchannel_token_delivery_mode: "push",
      backchannel_client_notification_endpoint: endpoint,
      authorization_details_types: ["remind"],
      scope: "openid",
    };
    assert.deepEqual(read(push).delivery, { mode: "push", endpoint });
    const mode = ["backchannel_token_delivery_mode"];
    assert.deepEqual(invalidMembers({ ...push, dpop_bound_access_tokens: true }), mode);
    assert.deepEqual(invalidMembers({ ...push, tls_client_certificate_bound_access_tokens: true }), mode);
    assert.deepEqual(invalidMembers({ ...push, authorization_details_types: ["remind", "refund"] }), mode);
  });

  test("ignores keys of unknown types, and requires x5c to contain its key", async () => {
    const own = await (await createCertificateAuthority()).issueForClient("CN=agent-1");
    const certificate = new X509Certificate(own.certificate);
    const jwk = certificate.publicKey.export({ format: "jwk" }) as JsonObject;
    const x5c = [certificate.raw.toString("base64")];
    const keys: JsonObject[] = [
      { ...jwk, x5c },
      { kty: "PQ", x: "something new" },
    ];
    const { keys: kept } = read({
      token_endpoint_auth_method: "self_signed_tls_client_auth",
      jwks: { keys },
    });
    assert.deepEqual(kept, { from: "registration", jwks: [keys[0]] });
    assert.deepEqual(invalidMembers({ jwks: { keys: [{ ...ec, x5c }] } }), ["jwks"]);
  });

  test("requires a key whose curve, alg, use and key_ops fit the algorithm", () => {
    const auth = { token_endpoint_auth_method: "private_key_jwt" };
    for (const jwk of [
      publicJwk("rsa"),
      publicJwk("ed25519"),
      { ...ec, use: "sig", key_ops: ["verify"], alg: "ES256" },
    ])
      assert.deepEqual(invalidMembers({ ...auth, jwks: { keys: [jwk] } }), []);
    for (const jwk of [publicJwk("p384"), { ...ec, alg: "ES384" }, { ...ec, key_ops: ["deriveKey"] }])
      assert.deepEqual(invalidMembers({ ...auth, jwks: { keys: [jwk] } }), ["jwks"]);
  });

  test("refuses certificate methods and binding if the server receives no client certificates", () => {
    const methods = authenticationMethods.filter((method) => !method.includes("tls"));
    const without = (metadata: JsonObject) => {
      const result = readRegistration(metadata, { ...policy, methods });
      return "problems" in result ? result.problems.map(({ member }) => member) : [];
    };
    assert.deepEqual(
      without({ token_endpoint_auth_method: "self_signed_tls_client_auth", jwks: { keys: [ec] } }),
      ["token_endpoint_auth_method"],
    );
    const bound = "tls_client_certificate_bound_access_tokens";
    assert.deepEqual(without({ [bound]: true }), [bound]);
    assert.deepEqual(without({ [bound]: false }), []);
  });

  test("returns all problems at once", () => {
    assert.deepEqual(
      invalidMembers({ scope: 7, jwks: 7, grant_types: 7, backchannel_token_delivery_mode: 7 }),
      ["grant_types", "jwks", "backchannel_token_delivery_mode", "scope"],
    );
  });

  test("never throws, for any JSON", () => {
    const members = [
      ...Object.keys(toClientMetadata(agentWith(read({})))),
      "jwks",
      "jwks_uri",
      "scope",
      "tls_client_auth_san_uri",
      "backchannel_client_notification_endpoint",
      "token_endpoint_auth_signing_alg",
    ];
    const anything = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<never>;
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...members), anything), (metadata) => {
        assert.ok(readRegistration(metadata, policy));
      }),
    );
  });
});
