/**
 * The DPoP proof of a token request (RFC 9449 §5): who holds which key, shown for this request alone. It is looked at
 * after the client has authenticated, so that strangers cost no signature and use up nobody's proof; and it is used up by
 * every request that carries it, also by one that is answered `authorization_pending`.
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
  /** What a proof may name as `htu`: the token endpoint as it is configured, never as the request calls it. */
  readonly proofUrls: readonly (string | undefined)[];
  /** Set where the configuration wants a nonce in each proof. */
  readonly nonces?: DpopNonces | undefined;
};

/** A key by its thumbprint (RFC 7638), and what the answer to this request carries, whatever it is. */
export type DpopResult = { readonly jkt: string; readonly headers: Readonly<Record<string, string>> };

const maxProofLength = 8192;
/** A second proof in the same header, or a second header, which arrives joined by a comma, does not look like this. */
const compactJws = /^[\w-]+\.[\w-]+\.[\w-]+$/;
/** Remembered for longer than it is good, so that a node whose clock is behind does not take it again. */
const skewMs = 60_000;

/** The key that the request proves, or undefined where it carries no proof. One that is not good is never ignored. */
export async function verifyDpopProof(
  deps: DpopDeps,
  call: ProtocolRequest,
): Promise<DpopResult | undefined> {
  const header = call.header("dpop");
  if (header === undefined) return undefined;
  const now = deps.store.now();
  const { jwk, claims, protectedHeader } = await open(header, now);
  const expected = { method: call.method, urls: deps.proofUrls };
  const proof = readDpopProof(protectedHeader, claims, expected, now);
  if ("refused" in proof) throw invalid(proofFaults[proof.refused]);

  const nonce = deps.nonces?.stateOf(proof.nonce, now) ?? "fresh";
  const headers: DpopResult["headers"] = nonce === "fresh" ? {} : { "dpop-nonce": deps.nonces!.current(now) };
  if (nonce === "unknown")
    throw new OAuthError("use_dpop_nonce", "make the DPoP proof again, with the nonce in DPoP-Nonce", {
      headers,
    });

  const jkt = await calculateJwkThumbprint(jwk);
  // The first to keep the proof's id is the one who used it; everyone after is a replay, also after a restart.
  const id = hash("sha256", JSON.stringify(["dpop", jkt, proof.jti]), "base64url");
  const record = { id, expiresAt: proof.expiresAt + skewMs };
  const kept = await deps.store.commitUnlogged({ writes: [{ put: "replay", record, ifVersion: absent }] });
  if (kept !== "committed") throw invalid("the DPoP proof was used before: make one for each request");
  return { jkt, headers };
}

async function open(proof: string, now: number) {
  if (proof.length > maxProofLength || !compactJws.test(proof))
    throw invalid("the DPoP header is not one signed JWT");
  try {
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
      algorithms: [...proofAlgorithms],
      currentDate: new Date(now),
    });
    return { claims: payload, protectedHeader, jwk: protectedHeader.jwk as JWK };
  } catch {
    throw invalid("the DPoP proof is not signed by the public key that it carries");
  }
}

function invalid(why: string): OAuthError {
  return new OAuthError("invalid_dpop_proof", why);
}

/** What `htu` is compared with. */
export function listProofUrls(tokenEndpoints: readonly string[]): readonly (string | undefined)[] {
  return tokenEndpoints.map(comparableUrl);
}
