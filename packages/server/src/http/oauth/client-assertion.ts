/**
 * Verifies `private_key_jwt` and `client_secret_jwt` (RFC 7523 §3, OpenID Connect Core §9), with the same rules for both. An
 * assertion is accepted once.
 */
import { hash } from "node:crypto";
import type { Agent } from "../../domain/client/client.ts";
import type { ClientJwtVerifier } from "../../outbound/client-jwt-verifier.ts";
import { absent, type Store } from "../../store/store.ts";
import { clockTolerance, isAudience, isTyped } from "./jwt.ts";

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
  const wanted = {
    issuer: id,
    subject: id,
    requiredClaims: ["aud", "exp", "jti"],
    clockTolerance,
    ...(algorithm !== undefined && { algorithms: [algorithm] }),
  };
  const verified =
    credential.method === "client_secret_jwt"
      ? await clientJwtVerifier.verifyWithSecret(credential.sealedSecret, assertion, wanted)
      : await clientJwtVerifier.verify(agent, assertion, wanted);
  if ("refused" in verified) return false;
  const { payload, protectedHeader } = verified;
  if (!isTyped(protectedHeader.typ, "client-authentication+jwt") || !isAudience(payload.aud, audiences))
    return false;
  const { jti, exp = 0 } = payload;
  if (typeof jti !== "string" || jti === "") return false;
  const now = store.now() / 1000;
  if (exp > now + maxAssertionLifetimeSeconds + clockTolerance) return false;
  if ((payload.iat ?? now) < now - maxAssertionLifetimeSeconds - clockTolerance) return false;
  // The first commit of this `jti` wins; later ones are replays, also after a restart.
  const record = {
    id: hash("sha256", JSON.stringify(["assertion", id, jti]), "base64url"),
    // NumericDate may have a fraction (RFC 7519 §2).
    expiresAt: Math.ceil((exp + 2 * clockTolerance) * 1000),
  };
  return (
    (await store.commitUnlogged({ writes: [{ put: "replay", record, ifVersion: absent }] })) === "committed"
  );
}
