/**
 * Signing keys of tokens and checkpoints. Stored in the database, the private keys encrypted under the root key, so
 * that every node signs with the same keys. A new token key is published before it signs, and stays published until
 * everything it signed has expired.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import {
  type Checkpoint,
  type JsonObject,
  parseJson,
  signCheckpoint,
  verifierKey,
} from "@countersign/protocol";
import { calculateJwkThumbprint, compactVerify, type JWK } from "jose";
import { operator, startup } from "../../audit/actor.ts";
import type { ActorOf } from "../../audit/event.ts";
import { newEntry } from "../../audit/new-entry.ts";
import { createJwtSigner, type SignJwt, signingAlgorithm } from "../../crypto/jwt-signer.ts";
import type { RootKey } from "../../crypto/root-key.ts";
import { createSeal } from "../../crypto/seal.ts";
import type { Seal } from "../../crypto/secret.ts";
import type { SealedKey } from "../../store/record/key.ts";
import { absent, type Store } from "../../store/store.ts";
import type { Signer } from "../token/issue.ts";

/**
 * How long a new key is published before it signs: clients may cache a JWKS for ten minutes, and servers reload their
 * keys every minute.
 */
const prePublishMs = 11 * 60_000;
/**
 * How long a key stays published after its successor became active: the longest lifetime of a token, plus clock skew.
 */
const retainedMs = 10 * 60_000;
/** `typ` of ID tokens; access tokens have another (RFC 9068 §2.1). */
const idTokenType = "JWT";

export interface Keyring {
  readonly signer: Signer;
  /**
   * Returns the claims of an ID token that this server signed, also with a retired key, and also if it has expired;
   * otherwise undefined.
   */
  readIdToken(idToken: string): Promise<JsonObject | undefined>;
  /** Returns the public keys that verifiers may need now (RFC 7517). */
  jwks(): { readonly keys: readonly JsonObject[] };
  readonly signCheckpoint: (checkpoint: Omit<Checkpoint, "origin">) => string;
  /** The log's verifier key (C2SP signed-note). */
  readonly logKey: string;
  /** Reloads the keys: another process may have rotated them. */
  reload(): Promise<void>;
}

type LoadedKey = {
  readonly kid: string;
  readonly activeAt: number;
  readonly publicJwk: JsonObject;
  readonly sign: SignJwt;
};

export async function openKeyring(
  store: Store,
  rootKey: RootKey,
  issuer: string,
  origin: string,
): Promise<Keyring> {
  const seal = createSeal(rootKey, "private-keys");
  await requireOrigin(store, origin);
  let tokens = await loadTokenKeys();
  if (tokens.length === 0) {
    await createKey(store, rootKey, "token", store.now(), startup);
    tokens = await loadTokenKeys();
  }
  let [log] = await listLogKeys();
  if (!log) {
    await createKey(store, rootKey, "log", store.now(), startup);
    [log] = await listLogKeys();
  }
  const logPrivate = createPrivateKey({ key: await unseal(seal, log!), format: "jwk" });
  const logPublic = createPublicKey(logPrivate);

  async function listLogKeys(): Promise<readonly SealedKey[]> {
    return (await store.list("key")).map(({ record }) => record).filter(({ purpose }) => purpose === "log");
  }

  async function loadTokenKeys(): Promise<readonly LoadedKey[]> {
    const sealed = (await store.list("key"))
      .map(({ record }) => record)
      .filter(({ purpose }) => purpose === "token");
    const loaded = await Promise.all(
      sealed.map(async (key) => ({
        kid: key.kid,
        activeAt: key.activeAt,
        publicJwk: key.publicJwk,
        sign: createJwtSigner(createPrivateKey({ key: await unseal(seal, key), format: "jwk" }), key.kid),
      })),
    );
    return loaded.sort((a, b) => a.activeAt - b.activeAt);
  }

  /** Returns the newest active key. */
  function findActiveKey(): LoadedKey {
    const now = store.now();
    return tokens.findLast(({ activeAt }) => activeAt <= now) ?? tokens[0]!;
  }

  const sign = (typ: string, claims: Record<string, unknown>): string =>
    findActiveKey().sign(typ, { iss: issuer, ...claims });

  async function readIdToken(idToken: string): Promise<JsonObject | undefined> {
    try {
      const { payload, protectedHeader } = await compactVerify(
        idToken,
        ({ kid }) => {
          const signer = tokens.find((key) => key.kid === kid);
          if (!signer) throw new Error("unknown kid");
          return signer.publicJwk as JWK;
        },
        { algorithms: [signingAlgorithm] },
      );
      const claims = parseJson(new TextDecoder().decode(payload));
      if ("refused" in claims || protectedHeader.typ !== idTokenType) return undefined;
      const idTokenClaims = claims.value as JsonObject;
      return idTokenClaims.iss === issuer ? idTokenClaims : undefined;
    } catch {
      // Not signed by this server, or not a JWS.
      return undefined;
    }
  }

  return {
    signer: {
      accessToken: (claims) => sign("at+jwt", claims),
      idToken: (claims) => sign(idTokenType, claims),
    },
    readIdToken,
    jwks: () => {
      const now = store.now();
      const current = tokens.filter((_, at) => {
        const successor = tokens[at + 1];
        return !successor || now < successor.activeAt + retainedMs;
      });
      return { keys: current.map(({ publicJwk }) => publicJwk) };
    },
    signCheckpoint: (checkpoint) => signCheckpoint({ ...checkpoint, origin }, logPrivate),
    logKey: verifierKey(origin, logPublic),
    reload: async () => {
      tokens = await loadTokenKeys();
    },
  };
}

/** Throws if the log has another origin: checkpoints signed earlier could no longer be verified. */
async function requireOrigin(store: Store, origin: string): Promise<void> {
  const [name] = (await store.log.newestCheckpoint())?.note.split("\n") ?? [];
  if (name !== undefined && name !== origin)
    throw new Error(
      `the checkpoints of this log are signed as ${name}: set log.origin to that, and not to ${origin}`,
    );
}

/** Creates a token key that becomes active after `prePublishMs`. Returns its `kid`. */
export function rotateTokenKey(store: Store, rootKey: RootKey): Promise<string> {
  return createKey(store, rootKey, "token", store.now() + prePublishMs, operator);
}

async function createKey(
  store: Store,
  rootKey: RootKey,
  purpose: SealedKey["purpose"],
  activeAt: number,
  actor: ActorOf<"key.created">,
): Promise<string> {
  const pair =
    purpose === "token" ? generateKeyPairSync("ec", { namedCurve: "P-256" }) : generateKeyPairSync("ed25519");
  const jwk = pair.publicKey.export({ format: "jwk" });
  // There is one log key, whichever node creates it first.
  const kid = purpose === "log" ? "log" : await calculateJwkThumbprint(jwk as JWK);
  const alg = purpose === "token" ? signingAlgorithm : "EdDSA";
  const record: SealedKey = {
    kid,
    purpose,
    publicJwk: { ...(jwk as JsonObject), use: "sig", alg, kid },
    sealedPrivateJwk: await createSeal(rootKey, "private-keys").seal(
      JSON.stringify(pair.privateKey.export({ format: "jwk" })),
    ),
    activeAt,
  };
  const facts = { purpose, kid, public_jwk: record.publicJwk, active_at: activeAt };
  const outcome = await store.commit({
    writes: [{ put: "key", record, ifVersion: absent }],
    entries: [newEntry("key.created", store.now(), { actor, facts })],
  });
  if (outcome === "conflict" && purpose !== "log") throw new Error("a new key has the id of an existing one");
  return kid;
}

async function unseal(seal: Seal, key: SealedKey): Promise<JsonObject> {
  try {
    return JSON.parse(await seal.open(key.sealedPrivateJwk));
  } catch (cause) {
    throw new Error(
      `the key ${key.kid} cannot be decrypted: the root key is not the one that it was encrypted with`,
      { cause },
    );
  }
}
