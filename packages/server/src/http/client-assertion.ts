/**
 * `private_key_jwt` and `client_secret_jwt` (RFC 7523 §3, OpenID Connect Core §9): one set of rules, two kinds of key. An
 * assertion is made for one request to this server, and is good once.
 */
import { hash } from "node:crypto";
import type { Agent } from "../client/client.ts";
import type { AgentKeys } from "../keys/agent-key.ts";
import { absent, type Store } from "../store/store.ts";
import { clockTolerance, isForUs, isTyped } from "./jwt.ts";

export type AssertionGround = {
  readonly store: Store;
  readonly agentKeys: AgentKeys;
  /** What an assertion may name as its audience: the issuer, and this server's endpoints (RFC 7523 §3). */
  readonly audiences: ReadonlySet<string>;
};

/** Seconds. A long-lived assertion is a standing credential in disguise. */
const longestAssertion = 600;

export async function provesByAssertion(
  { store, audiences, agentKeys }: AssertionGround,
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
      ? await agentKeys.verifyBySecret(credential.sealedSecret, assertion, wanted)
      : await agentKeys.verify(agent, assertion, wanted);
  if ("refused" in verified) return false;
  const { payload, protectedHeader } = verified;
  if (!isTyped(protectedHeader.typ, "client-authentication+jwt") || !isForUs(payload.aud, audiences))
    return false;
  const { jti, exp = 0 } = payload;
  if (typeof jti !== "string" || jti === "") return false;
  const now = store.now() / 1000;
  if (exp > now + longestAssertion + clockTolerance) return false;
  if ((payload.iat ?? now) < now - longestAssertion - clockTolerance) return false;
  // The first to keep this assertion's id is the one who may use it; everyone after is a replay, also after a restart.
  const record = {
    id: hash("sha256", JSON.stringify(["assertion", id, jti]), "base64url"),
    // NumericDate may have a fraction (RFC 7519 §2).
    expiresAt: Math.ceil((exp + 2 * clockTolerance) * 1000),
  };
  return (await store.pass({ writes: [{ put: "replay", record, expect: absent }] })) === "committed";
}
