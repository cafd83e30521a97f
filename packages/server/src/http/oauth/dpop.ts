/**
 * Verifies the DPoP proof of a token request (RFC 9449 §5). It runs after client authentication, so that unauthenticated
 * callers cost no signature check and cannot consume a client's proof. Every request consumes its proof, also one that
 * returns `authorization_pending`.
 */
import { hash } from "node:crypto";
import {
  comparableUrl,
  type DpopNonces,
  proofAlgorithms,
  proofFaults,
  readDpopProof,
} from "@countersign/protocol";
import { calculateJwkThumbprint, EmbeddedJWK, type JWK, jwtVerify } from "jose";
import { absent, type Store } from "../../store/store.ts";
import type { ProtocolRequest } from "../transport/protocol-request.ts";
import { OAuthError } from "./oauth-error.ts";

export type DpopDeps = {
  readonly store: Store;
  /** Accepted `htu` values: the configured token endpoint URLs, never the URL of the request. */
  readonly proofUrls: readonly (string | undefined)[];
  /** Set if the configuration requires a nonce in each proof. */
  readonly nonces?: DpopNonces | undefined;
};

/** The thumbprint of the proven key (RFC 7638), and headers for every response to this request. */
export type DpopResult = { readonly jkt: string; readonly headers: Readonly<Record<string, string>> };

const maxProofLength = 8192;
/** One compact JWS. Rejects two proofs; repeated headers arrive joined by a comma. */
const compactJws = /^[\w-]+\.[\w-]+\.[\w-]+$/;
/** `jti` values are stored beyond the proof's lifetime, so that a node whose clock is behind rejects the replay. */
const skewMs = 60_000;

/** Returns the proven key, or undefined without a DPoP header. Throws `invalid_dpop_proof` for an invalid proof. */
export async function verifyDpopProof(
  deps: DpopDeps,
  request: ProtocolRequest,
): Promise<DpopResult | undefined> {
  const header = request.header("dpop");
  if (header === undefined) return undefined;
  const now = deps.store.now();
  const { jwk, claims, protectedHeader } = await verifySignature(header, now);
  const expected = { method: request.method, urls: deps.proofUrls };
  const proof = readDpopProof(protectedHeader, claims, expected, now);
  if ("refused" in proof) throw createDpopProofError(proofFaults[proof.refused]);

  const nonce = deps.nonces?.stateOf(proof.nonce, now) ?? "fresh";
  const headers: DpopResult["headers"] = nonce === "fresh" ? {} : { "dpop-nonce": deps.nonces!.current(now) };
  if (nonce === "unknown")
    throw new OAuthError(
      "use_dpop_nonce",
      "create a new DPoP proof with the nonce from the DPoP-Nonce header",
      {
        headers,
      },
    );

  const jkt = await calculateJwkThumbprint(jwk);
  // The first commit of this `jti` wins; later ones are replays, also after a restart.
  const id = hash("sha256", JSON.stringify(["dpop", jkt, proof.jti]), "base64url");
  const record = { id, expiresAt: proof.expiresAt + skewMs };
  const outcome = await deps.store.commitUnlogged({ writes: [{ put: "replay", record, ifVersion: absent }] });
  if (outcome !== "committed")
    throw createDpopProofError("the DPoP proof was used before: create one for each request");
  return { jkt, headers };
}

async function verifySignature(proof: string, now: number) {
  if (proof.length > maxProofLength || !compactJws.test(proof))
    throw createDpopProofError("the DPoP header must be one signed JWT");
  try {
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
      algorithms: [...proofAlgorithms],
      currentDate: new Date(now),
    });
    return { claims: payload, protectedHeader, jwk: protectedHeader.jwk as JWK };
  } catch {
    throw createDpopProofError("the DPoP proof is not signed by the key in its jwk header");
  }
}

function createDpopProofError(description: string): OAuthError {
  return new OAuthError("invalid_dpop_proof", description);
}

/** Returns the token endpoint URLs, normalized for comparison with `htu`. */
export function listProofUrls(tokenEndpoints: readonly string[]): readonly (string | undefined)[] {
  return tokenEndpoints.map(comparableUrl);
}
