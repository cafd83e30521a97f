import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import {
  type Action,
  actionDigest,
  canonicalize,
  commitText,
  decisionChallenge,
  type Entry,
  entryLine,
  hashJson,
  type Json,
  type JsonObject,
  leafHash,
  openCheckpoint,
  opensCommitment,
  parseJson,
  partsDigest,
  rootOf,
  type SignedDecision,
  shortDigest,
  signCheckpoint,
  verifierKey,
} from "./protocol.ts";

function read<Vectors>(name: string): Vectors {
  return JSON.parse(readFileSync(new URL(`./vectors/${name}.json`, import.meta.url), "utf8")) as Vectors;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

type Parsing = { name: string; text: string; canonical?: string; refused?: string; path?: string };

describe("golden vectors", () => {
  for (const { name, text, ...expected } of read<{ vectors: Parsing[] }>("json").vectors) {
    test(`parses or rejects json: ${name}`, () => {
      const parsed = parseJson(text);
      assert.deepEqual("refused" in parsed ? parsed : { canonical: canonicalize(parsed.value) }, expected);
    });
  }

  type Acting = {
    name: string;
    action: { type: string; type_hash: string; audience: string; bound: JsonObject };
    canonical: string;
    digest: string;
    short: string;
  };
  const acting = read<{
    type_hash_of: { definition: Json; canonical: string; hash: string };
    vectors: Acting[];
  }>("action");

  test("returns the hash of a type definition", () => {
    const { definition, canonical, hash } = acting.type_hash_of;
    assert.equal(canonicalize(definition), canonical);
    assert.equal(hashJson(definition), hash);
  });

  for (const { name, action, canonical, digest, short } of acting.vectors) {
    test(`returns the digest of action: ${name}`, () => {
      const { type, type_hash, audience, bound } = action;
      assert.equal(canonicalize({ v: "countersign-action-v1", ...action }), canonical);
      assert.equal(actionDigest({ type, typeHash: type_hash, audience, bound } satisfies Action), digest);
      assert.equal(shortDigest(digest), short);
    });
  }

  type Parts = {
    name: string;
    action: { audience: string; parts: { type: string; type_hash: string; bound: JsonObject }[] };
    canonical: string;
    digest: string;
    short: string;
  };

  for (const { name, action, canonical, digest, short } of read<{ vectors: Parts[] }>("parts").vectors) {
    test(`returns the digest of parts: ${name}`, () => {
      const parts = action.parts.map(({ type, type_hash: typeHash, bound }) => ({ type, typeHash, bound }));
      assert.equal(canonicalize({ v: "countersign-parts-v1", ...action }), canonical);
      assert.equal(partsDigest(action.audience, parts), digest);
      assert.equal(shortDigest(digest), short);
    });
  }

  type Deciding = { name: string; decision: SignedDecision; canonical: string; challenge: string };
  const deciding = read<{
    card_hash_of: { card: Json; canonical: string; hash: string };
    vectors: Deciding[];
  }>("decision");

  test("returns the hash of a card", () => {
    const { card, canonical, hash } = deciding.card_hash_of;
    assert.equal(canonicalize(card), canonical);
    assert.equal(hashJson(card), hash);
  });

  for (const { name, decision, canonical, challenge } of deciding.vectors) {
    test(`returns the challenge of decision: ${name}`, () => {
      assert.equal(canonicalize({ v: "countersign-decision-v1", ...decision }), canonical);
      assert.equal(decisionChallenge(decision), challenge);
    });
  }

  type Logging = {
    vectors: { entry: Entry; line: string; leaf_hash: string }[];
    roots: string[];
    commitments: { text: string; salt: string; commitment: string }[];
  };
  const logging = read<Logging>("entry");

  for (const { entry, line, leaf_hash } of logging.vectors) {
    test(`returns line and leaf hash of entry: ${entry.id} ${entry.event}`, () => {
      assert.equal(entryLine(entry), line);
      assert.equal(hex(leafHash(line)), leaf_hash);
    });
  }

  test("returns the root after each entry", () => {
    const leaves = logging.vectors.map(({ line }) => leafHash(line));
    assert.deepEqual(
      Array.from({ length: leaves.length + 1 }, (_, size) => hex(rootOf(leaves.slice(0, size)))),
      logging.roots,
    );
  });

  for (const { text, salt, commitment } of logging.commitments) {
    test(`makes and opens the commitment to ${JSON.stringify(text)}`, () => {
      assert.deepEqual(commitText(text, Buffer.from(salt, "base64url")), { commitment, salt });
      assert.equal(opensCommitment(commitment, text, salt), true);
    });
  }

  type Signing = {
    private_key: string;
    public_key: string;
    vectors: {
      name: string;
      checkpoint: { origin: string; size: number; root: string };
      verifier_key: string;
      note: string;
    }[];
  };
  const signing = read<Signing>("checkpoint");

  for (const { name, checkpoint, verifier_key, note } of signing.vectors) {
    test(`signs and opens checkpoint: ${name}`, () => {
      const x = Buffer.from(signing.public_key, "hex").toString("base64url");
      const d = Buffer.from(signing.private_key, "hex").toString("base64url");
      const privateKey = createPrivateKey({ key: { kty: "OKP", crv: "Ed25519", x, d }, format: "jwk" });
      const root = Buffer.from(checkpoint.root, "hex");
      assert.equal(verifierKey(checkpoint.origin, createPublicKey(privateKey)), verifier_key);
      assert.equal(signCheckpoint({ ...checkpoint, root }, privateKey), note);
      assert.deepEqual(openCheckpoint(note, verifier_key), { ...checkpoint, root });
    });
  }
});
