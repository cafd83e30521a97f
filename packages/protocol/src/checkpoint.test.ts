import assert from "node:assert/strict";
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from "node:crypto";
import { describe, test } from "node:test";
import { type Checkpoint, openCheckpoint, openNote, signCheckpoint, verifierKey } from "./checkpoint.ts";
import { rootOf } from "./merkle.ts";

// Published notes: golang.org/x/mod/sumdb/note, and the Go checksum database (also the example of C2SP tlog-checkpoint).
const peter = {
  key: "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
  text: "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n",
  signature:
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
};
const foo = {
  key: "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
  text: "This is an example message.\n",
  signature:
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n",
};
const sumdb = {
  key: "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
  text: "go.sum database tree\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
  signature:
    "— sum.golang.org Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n",
};

const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const origin = "as.example.com/log";
const key = verifierKey(origin, publicKey);
const checkpoint: Checkpoint = { origin, size: 5, root: rootOf([Buffer.alloc(32, 1)]) };
const note = signCheckpoint(checkpoint, privateKey);

/** Signs any text as a note, also one that is not a checkpoint. */
function signNote(text: string, name = origin, signer: KeyObject = privateKey): string {
  const raw = Buffer.from(createPublicKey(signer).export({ format: "jwk" }).x!, "base64url");
  const id = createHash("sha256").update(`${name}\n\u0001`).update(raw).digest().subarray(0, 4);
  return `${text}\n— ${name} ${Buffer.concat([id, sign(null, Buffer.from(text), signer)]).toString("base64")}\n`;
}

function refusal(each: string): string {
  const opened = openCheckpoint(each, key);
  assert.ok("refused" in opened, `opened: ${JSON.stringify(each)}`);
  return opened.refused;
}

describe("published notes", () => {
  for (const [name, published] of Object.entries({ peter, foo, sumdb })) {
    test(`opens the published note "${name}" with its published key, and not with one letter changed`, () => {
      const { text, signature } = published;
      assert.equal(openNote(`${text}\n${signature}`, published.key), text);
      assert.deepEqual(openNote(`${text.replace("e", "E")}\n${signature}`, published.key), {
        refused: "bad_signature",
      });
    });
  }
});

describe("checkpoints", () => {
  test("formats a published verifier key from its name and key", () => {
    for (const published of [peter.key, foo.key, sumdb.key]) {
      const [name, encoded] = [published.split("+", 1)[0]!, published.split("+").slice(2).join("+")];
      const x = Buffer.from(encoded, "base64").subarray(1).toString("base64url");
      assert.equal(
        verifierKey(name, createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" })),
        published,
      );
    }
  });

  test("ends the text of a note at its last empty line", () => {
    const text =
      "Ognuno sta solo sul cuor della terra\n\ntrafitto da un raggio di sole:\n\ned è subito sera.\n";
    assert.equal(openNote(signNote(text), key), text);
  });

  test("opens a signed checkpoint unchanged, and returns the same note when it is signed again", () => {
    assert.deepEqual(openCheckpoint(note, key), checkpoint);
    assert.equal(signCheckpoint(checkpoint, privateKey), note);
    const large = { ...checkpoint, size: Number.MAX_SAFE_INTEGER };
    assert.deepEqual(openCheckpoint(signCheckpoint(large, privateKey), key), large);
  });

  test("rejects a note with any one character changed, omitted or repeated", () => {
    const characters = [...note];
    for (const [index, character] of characters.entries()) {
      for (const other of [character === "A" ? "B" : "A", "", character + character, "\n", " "]) {
        const changed = characters.with(index, other).join("");
        if (changed !== note) refusal(changed);
      }
    }
  });

  test("rejects a checkpoint of another origin than the name of the key", () => {
    const text = `other.example.com/log\n5\n${Buffer.from(checkpoint.root).toString("base64")}\n`;
    assert.equal(refusal(signNote(text)), "unknown_key");
    assert.deepEqual(openCheckpoint(`${sumdb.text}\n${sumdb.signature}`, sumdb.key), {
      refused: "unknown_key",
    });
  });

  test("rejects another key under the same name, and the same key under another name, as unknown", () => {
    const stranger = generateKeyPairSync("ed25519").privateKey;
    assert.equal(refusal(signCheckpoint(checkpoint, stranger)), "unknown_key");
    assert.equal(
      refusal(signCheckpoint({ ...checkpoint, origin: "other.example.com/log" }, privateKey)),
      "unknown_key",
    );
  });

  test("rejects a signature of a key that only shares name and id", () => {
    const forged = Buffer.from(note.slice(note.lastIndexOf(" ") + 1), "base64");
    const stranger = generateKeyPairSync("ed25519").privateKey;
    const text = note.slice(0, note.indexOf("\n\n") + 1);
    sign(null, Buffer.from(text), stranger).copy(forged, 4);
    assert.equal(refusal(`${text}\n— ${origin} ${forged.toString("base64")}\n`), "bad_signature");
    assert.equal(
      refusal(`${text}\n— ${origin} ${forged.subarray(0, 36).toString("base64")}\n`),
      "bad_signature",
    );
  });

  test("ignores signatures of witnesses, before and after that of the log", () => {
    const text = note.slice(0, note.indexOf("\n\n") + 1);
    const ours = note.slice(text.length + 1);
    const witness = signNote(text, "witness.example.net/w1", generateKeyPairSync("ed25519").privateKey).slice(
      text.length + 1,
    );
    assert.deepEqual(openCheckpoint(`${text}\n${witness}${ours}`, key), checkpoint);
    assert.deepEqual(openCheckpoint(`${text}\n${ours}${witness.repeat(20)}`, key), checkpoint);
    assert.equal(refusal(`${text}\n${witness}`), "unknown_key");
    assert.equal(refusal(`${text}\n${ours}${witness.slice(0, -1)}`), "malformed");
    assert.equal(refusal(`${text}\n${ours}${witness.repeat(64)}`), "malformed");
  });

  test("rejects a note with one wrong signature of the key, even beside a right one", () => {
    const text = note.slice(0, note.indexOf("\n\n") + 1);
    const ours = note.slice(text.length + 1);
    const wrong = signNote(`${text}extension\n`).slice(text.length + "extension\n".length + 1);
    assert.equal(refusal(`${text}\n${ours}${wrong}`), "bad_signature");
    assert.equal(refusal(`${text}\n${wrong}${ours}`), "bad_signature");
  });

  test("signs extension lines without parsing them", () => {
    const text = `${note.slice(0, note.indexOf("\n\n") + 1)}an extension\n`;
    assert.deepEqual(openCheckpoint(signNote(text), key), checkpoint);
  });

  test("rejects a signed text that is not a checkpoint as malformed", () => {
    const root = Buffer.from(checkpoint.root).toString("base64");
    const texts = [
      `${origin}\n5\n`,
      `${origin}\n05\n${root}\n`,
      `${origin}\n-5\n${root}\n`,
      `${origin}\n5.0\n${root}\n`,
    ];
    texts.push(`${origin}\n9007199254740992\n${root}\n`, `${origin}\n\n${root}\n`, `\n5\n${root}\n`);
    texts.push(
      `${origin}\n5\n${root.replace("=", "")}\n`,
      `${origin}\n5\n${"A".repeat(40)}\n`,
      `${origin}\n5\n${root}\n\n`,
    );
    texts.push(
      `${origin}\n5\n${"A".repeat(42)}B=\n`,
      `${origin}\n 5\n${root}\n`,
      `${origin}\n5\n${root}\n\nextension\n`,
    );
    for (const text of texts) assert.equal(refusal(signNote(text)), "malformed", JSON.stringify(text));
  });

  test("rejects a text that is not a signed note as malformed", () => {
    const notes = [
      "",
      "\n",
      "\n\n",
      note.slice(0, -1),
      `${note}\n`,
      `${note}x\n`,
      note.replace("\n\n", "\n"),
      `\n${note.slice(note.indexOf("\n\n") + 1)}`,
    ];
    notes.push(
      note.replace("—", "-"),
      note.replace("\n", "\r\n"),
      note.replace("5", "5\u0000"),
      note.replace("as.", "\ud800"),
    );
    notes.push(
      note.slice(0, note.indexOf("\n\n") + 2),
      note.replace(/ [^ ]+\n$/, " AAAA\n"),
      note.replace(/=\n$/, "\n"),
    );
    for (const each of notes) assert.equal(refusal(each), "malformed", JSON.stringify(each));
  });

  test("throws a TypeError for an invalid verifier key", () => {
    const [name, id, encoded] = peter.key.split("+") as [string, string, string];
    const ofType2 = Buffer.concat([Buffer.from([2]), Buffer.alloc(32)]);
    const idOfType2 = createHash("sha256").update(`${name}\n`).update(ofType2).digest("hex").slice(0, 8);
    const bad = [
      "",
      name,
      `${name}+${id}`,
      `${name}+${id}+`,
      `${name}+00000000+${encoded}`,
      `x${peter.key}`,
      `${peter.key}=`,
    ];
    bad.push(
      `${name}+${id.toUpperCase()}+${encoded}`,
      ` ${peter.key}`,
      `${name}+${idOfType2}+${ofType2.toString("base64")}`,
      `${peter.key}\n`,
    );
    for (const each of bad) assert.throws(() => openCheckpoint(note, each), TypeError, each);
  });

  test("signs only with an Ed25519 key, a valid name and a valid size", () => {
    const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
    assert.throws(() => verifierKey(origin, ec.publicKey), TypeError);
    assert.throws(() => signCheckpoint(checkpoint, ec.privateKey), TypeError);
    for (const name of ["", "a b", "a+b", "a\nb", "a\u00a0b", "a\u0000", "a\u2028b", "a\ud800"]) {
      assert.throws(() => verifierKey(name, publicKey), TypeError, JSON.stringify(name));
      assert.throws(
        () => signCheckpoint({ ...checkpoint, origin: name }, privateKey),
        TypeError,
        JSON.stringify(name),
      );
    }
    for (const size of [-1, 1.5, Number.NaN, 2 ** 53]) {
      assert.throws(() => signCheckpoint({ ...checkpoint, size }, privateKey), TypeError);
    }
    assert.throws(() => signCheckpoint({ ...checkpoint, root: new Uint8Array(31) }, privateKey), TypeError);
  });

  test("signs the same checkpoint with a private key read from PEM", () => {
    const pem = privateKey.export({ format: "pem", type: "pkcs8" });
    assert.equal(signCheckpoint(checkpoint, createPrivateKey(pem)), note);
  });
});
