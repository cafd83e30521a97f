import assert from "node:assert/strict";
import { generateKeyPairSync, verify } from "node:crypto";
import { describe, test } from "node:test";
import { compactVerify } from "jose";
import { createJwtSigner } from "./jwt-signer.ts";

const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });

describe("createJwtSigner", () => {
  test("returns a JWS that other libraries verify, whatever the length of its numbers", async () => {
    const sign = createJwtSigner(privateKey, "key_1");
    // One in 256 numbers is shorter, and every second one needs a leading zero.
    for (let n = 0; n < 2_000; n += 1) {
      const claims = { iss: "https://issuer.example", n, text: "für “Ada”" };
      const jws = sign("at+jwt", claims);
      const [header = "", payload = "", signature = ""] = jws.split(".");
      const bytes = Buffer.from(signature, "base64url");
      assert.equal(bytes.length, 64);
      const key = { key: publicKey, dsaEncoding: "ieee-p1363" } as const;
      assert.ok(verify("sha256", Buffer.from(`${header}.${payload}`), key, bytes));
      if (n % 100 > 0) continue;
      const read = await compactVerify(jws, publicKey, { algorithms: ["ES256"] });
      assert.deepEqual(read.protectedHeader, { alg: "ES256", kid: "key_1", typ: "at+jwt" });
      assert.deepEqual(JSON.parse(new TextDecoder().decode(read.payload)), claims);
    }
  });

  test("writes the given type into the header of each token", async () => {
    const sign = createJwtSigner(privateKey, "key_1");
    const types = ["at+jwt", "JWT", "at+jwt"].map((typ) => {
      const [header = ""] = sign(typ, {}).split(".");
      return JSON.parse(Buffer.from(header, "base64url").toString()).typ;
    });
    assert.deepEqual(types, ["at+jwt", "JWT", "at+jwt"]);
  });

  test("throws for a key on another curve", () => {
    for (const namedCurve of ["P-384", "secp256k1"]) {
      const other = generateKeyPairSync("ec", { namedCurve }).privateKey;
      assert.throws(() => createJwtSigner(other, "key_1"), /not on P-256/);
    }
    assert.throws(() => createJwtSigner(generateKeyPairSync("ed25519").privateKey, "key_1"), /not on P-256/);
  });
});
