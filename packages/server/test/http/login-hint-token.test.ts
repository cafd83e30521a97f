/** `login_hint_token` (CIBA §7.1), over HTTP: whom an issuer that the operator named wants asked. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { allowLoopback } from "@countersign/testing/server/callback-harness";
import { startReceiver } from "@countersign/testing/server/callback-receiver";
import { createCertificateAuthority } from "@countersign/testing/server/certificate";
import { deploy, issuer, refund, toRequestId } from "@countersign/testing/server/deployment";
import type { ConfigEdit } from "@countersign/testing/server/edit-config";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from "jose";

const hr = "https://hr.example/tokens";
const pair = await generateKeyPair("ES256", { extractable: true });
const folder = mkdtempSync(join(tmpdir(), "countersign-hint-"));
const file = join(folder, "hr.json");
writeFileSync(file, JSON.stringify({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: "hr-1" }] }));
const withKeys = (keys: ConfigEdit) => ({ login_hint_issuers: { [hr]: keys } });

const deployment = useDeployment({ config: withKeys({ jwks_file: file }), approvers: ["ada", "bob"] });
after(async () => {
  rmSync(folder, { recursive: true });
});

const nowSeconds = () => Math.floor(deployment.clock.now / 1000);

function token(changed: object = {}, header: object = {}, key = pair.privateKey): Promise<string> {
  const claims = {
    iss: hr,
    aud: issuer,
    exp: nowSeconds() + 300,
    sub_id: { format: "email", email: "ada@example.com" },
    ...changed,
  };
  return new SignJWT(claims).setProtectedHeader({ alg: "ES256", ...header }).sign(key);
}

let order = 0;
const ask = (login_hint_token: string, changed: object = {}) =>
  deployment.ask({
    login_hint: undefined,
    login_hint_token,
    authorization_details: JSON.stringify([{ ...refund, order: `L-${++order}` }]),
    ...changed,
  });

describe("login_hint_token", () => {
  for (const [name, subject] of [
    ["sub_id with an address", () => ({})],
    [
      "sub_id with the server's sub",
      () => ({ sub_id: { format: "iss_sub", iss: `${issuer}/`, sub: deployment.ada.approver } }),
    ],
    ["sub_id, which precedes sub and email", () => ({ sub: "u-17", email: "bob@example.com" })],
    ["email", () => ({ sub_id: undefined, email: "Ada@example.com", sub: "u-17" })],
    ["sub", () => ({ sub_id: undefined, sub: deployment.ada.approver })],
  ] as const)
    test(`identifies the approver by ${name}`, async () => {
      const answer = await ask(await token(subject()));
      assert.equal(answer.status, 200, answer.body.error_description);
      const held = await deployment.server.store.read("request", toRequestId(answer.body.auth_req_id));
      assert.deepEqual(held?.record.candidates, [deployment.ada.approver]);
    });

  test("accepts a token repeatedly, with or without kid, with a lifetime of one day at most", async () => {
    const day = await token({ exp: nowSeconds() + 86_400, aud: [`${issuer}/`] }, { kid: "hr-1", typ: "JWT" });
    for (let at = 0; at < 2; at += 1) assert.equal((await ask(day)).status, 200);
  });

  const bad: readonly (readonly [string, () => Promise<string>, string?])[] = [
    ["that has expired", () => token({ exp: nowSeconds() - 31 }), "expired_login_hint_token"],
    ["for another audience", () => token({ aud: "https://other.example" })],
    ["for this server and another audience (T55)", () => token({ aud: [issuer, "https://other.example"] })],
    ["without an audience", () => token({ aud: undefined })],
    ["without exp", () => token({ exp: undefined })],
    ["with a lifetime of ten years (T55)", () => token({ exp: nowSeconds() + 315_360_000 })],
    ["of an issuer that is not configured", () => token({ iss: "https://evil.example" })],
    ["without an issuer", () => token({ iss: undefined })],
    ["before its nbf", () => token({ nbf: nowSeconds() + 600 })],
    ["of type at+jwt", () => token({}, { typ: "at+jwt" })],
    ["with a typ that is not a string", () => token({}, { typ: ["JWT"] })],
    ["without a subject", () => token({ sub_id: undefined })],
    ["signed with another key", async () => token({}, {}, (await generateKeyPair("ES256")).privateKey)],
    [
      "signed with another algorithm",
      async () => token({}, { alg: "RS256" }, (await generateKeyPair("RS256")).privateKey),
    ],
    ["signed by an unknown key", () => token({}, { kid: "hr-2" })],
    [
      "without a signature (T46)",
      async () => new UnsecuredJWT({ iss: hr, aud: issuer, sub: deployment.ada.approver }).encode(),
    ],
    ["that is not a JWT", async () => "ada@example.com"],
    [
      "for an unknown person",
      () => token({ sub_id: { format: "email", email: "eve@example.com" } }),
      "unknown_user_id",
    ],
    [
      "with an unsupported identifier",
      () => token({ sub_id: { format: "phone_number", phone_number: "+12065550100" } }),
      "unknown_user_id",
    ],
    [
      "with the sub of another issuer",
      () => token({ sub_id: { format: "iss_sub", iss: hr, sub: deployment.ada.approver } }),
      "unknown_user_id",
    ],
    [
      "with an address that is a list",
      () => token({ sub_id: undefined, email: ["ada@example.com"] }),
      "unknown_user_id",
    ],
  ];
  for (const [name, made, error = "invalid_request"] of bad)
    test(`rejects a token ${name}`, async () => {
      const before = (await deployment.server.store.listRequests({ limit: 1000 })).length;
      const answer = await ask(await made());
      assert.deepEqual([answer.status, answer.body.error], [400, error], answer.body.error_description);
      assert.match(answer.body.error_description, /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
      assert.equal((await deployment.server.store.listRequests({ limit: 1000 })).length, before);
    });

  test("adds no approver to those who may decide (T8)", async () => {
    const promote = { authorization_details: JSON.stringify([{ type: "promote", service: "bar" }]) };
    assert.equal((await ask(await token(), promote)).body.error, "unknown_user_id");
  });

  test("is never stored or logged, whether it was valid or not", async () => {
    const good = await token({ name: "Countess of Lovelace" });
    const wrong = await token({ aud: "https://other.example" });
    assert.equal((await ask(good)).status, 200);
    await ask(wrong);
    await deployment.server.runJobs();
    await deployment.restart();
    const kept = [deployment.file, `${deployment.file}-wal`]
      .map((path) => readFileSync(path, "latin1"))
      .join("");
    assert.ok(kept.includes(`L-${order - 1}`), "the ask itself is there");
    for (const jwt of [good, wrong])
      for (const part of jwt.split(".").slice(1)) assert.ok(!kept.includes(part));
  });

  test("rejects every token without a configured issuer", async () => {
    await deployment.restart({ login_hint_issuers: undefined });
    assert.equal((await ask(await token())).body.error, "invalid_request");
    await deployment.restart();
  });

  test("fetches the keys of an issuer from a URL, like those of agents", async (t) => {
    const authority = await createCertificateAuthority();
    const owner = await startReceiver(authority);
    t.after(() => owner.close());
    const ca = join(folder, "ca.pem");
    writeFileSync(ca, authority.ca);
    const published = withKeys({ jwks_uri: `${owner.origin}/jwks` });
    const away = await deploy({ config: published });
    t.after(() => away.close());
    const inside = await deploy({ config: { ...published, ...allowLoopback(ca) } });
    t.after(() => inside.close());
    owner.respond = (response) => response.writeHead(200).end(readFileSync(file));
    for (const other of [away, inside]) {
      await other.enrol("ada@example.com");
      const login_hint_token = await token();
      const answer = await other.ask({ login_hint: undefined, login_hint_token });
      assert.equal(answer.body.error, other === away ? "invalid_request" : undefined);
    }
    assert.deepEqual([away.faults.length, inside.faults.length, owner.received.length], [1, 0, 1]);
  });

  test("refuses to start with an unusable key file, and names it", async () => {
    for (const [text, words] of [
      ["{", /hr\.json cannot be used: it is not valid JSON/],
      ['{"keys":[{"kty":"oct","k":"AAAA"}]}', /hr\.json cannot be used: .*private or symmetric/],
    ] as const) {
      const other = join(folder, "other");
      writeFileSync(`${other}hr.json`, text);
      await assert.rejects(deploy({ config: withKeys({ jwks_file: `${other}hr.json` }) }), words);
    }
    await assert.rejects(
      deploy({ config: withKeys({ jwks_file: join(folder, "missing.json") }) }),
      /missing\.json/,
    );
  });
});
