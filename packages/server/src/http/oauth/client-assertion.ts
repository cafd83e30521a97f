/**
 * Verifies `private_key_jwt` and `client_secret_jwt` (RFC 7523 §3, OpenID Connect Core §9), with the same rules for both. An
 * assertion is accepted once.
 */

import { hash } from "node:crypto";
import { clockToleranceSeconds } from "@countersign/protocol";
import type { Agent } from "../../domain/client/client.ts";
import type { ClientJwtVerifier } from "../../outbound/client-jwt-verifier.ts";
import { absent, type Store } from "../../store/store.ts";
import { hasJwtType, isAudience } from "./jwt.ts";

export type AssertionDeps = {
  readonly store: Store;
  readonly clientJwtVerifier: ClientJwtVerifier;
  /** Accepted audiences: the issuer and this server's endpoints (RFC 7523 §3). */
  readonly audiences: ReadonlySet<string>;
};

/** Maximum lifetime in seconds. A long-lived assertion would be a reusable credential. */
const maxAssertionLifetimeSeconds = 600;

export async function verifyClientAssertion(
  { store, audiences, clientJwtVerifier }: AssertionDeps,
  agent: Agent,
  assertion: string,
): Promise<boolean> {
  const { id, credential, assertionAlgorithm: algorithm } = agent;
  const verifyOptions = {
    issuer: id,
    subject: id,
    requiredClaims: ["aud", "exp", "jti"],
    clockTolerance: clockToleranceSeconds,
    ...(algorithm !== undefined && { algorithms: [algorithm] }),
  };
  const verified =
    credential.method === "client_secret_jwt"
      ? await clientJwtVerifier.verifyWithSecret(credential.sealedSecret, assertion, verifyOptions)
      : await clientJwtVerifier.verify(agent, assertion, verifyOptions);
  if ("refused" in verified) return false;
  const { payload, protectedHeader } = verified;
  if (!hasJwtType(protectedHeader.typ, "client-authentication+jwt") || !isAudience(payload.aud, audiences))
    return false;
  const { jti, exp = 0 } = payload;
  if (typeof jti !== "string" || jti === "") return false;
  const nowSeconds = store.now() / 1000;
  if (exp > nowSeconds + maxAssertionLifetimeSeconds + clockToleranceSeconds) return false;
  if ((payload.iat ?? nowSeconds) < nowSeconds - maxAssertionLifetimeSeconds - clockToleranceSeconds)
    return false;
  // The first commit of this `jti` wins; later ones are replays, also after a restart.
  const record = {
    id: hash("sha256", JSON.stringify(["assertion", id, jti]), "base64url"),
    // NumericDate may have a fraction (RFC 7519 §2).
    expiresAt: Math.ceil((exp + 2 * clockToleranceSeconds) * 1000),
  };
  return (
    (await store.commitUnlogged({ writes: [{ put: "replay", record, ifVersion: absent }] })) === "committed"
  );
}
