/**
 * What a token will be bound to (RFC 7800): the key of a DPoP proof, or the client's certificate, or nothing. A client that
 * is registered for one of the two gets no token without it; any other may bring a DPoP proof and gets a token bound to it.
 */
import type { Agent } from "../client/client.ts";
import type { Confirmation } from "../token/token.ts";
import type { Call } from "./call.ts";
import { type DpopGround, proveKey } from "./dpop.ts";
import { OAuthError } from "./oauth-error.ts";
import type { Peer } from "./peer.ts";

export type Confirmed = {
  readonly confirmation?: Confirmation;
  /** For the answer to this request, whatever it is. */
  readonly headers: Readonly<Record<string, string>>;
};

/** Most clients prove nothing, and wait for nothing here. */
export function confirm(
  ground: DpopGround,
  call: Call,
  { binding }: Agent,
  peer: Peer,
): Confirmed | Promise<Confirmed> {
  if (binding === "mtls") return byCertificate(call, peer);
  return binding === "dpop" || call.header("dpop") !== undefined ? byProof(ground, call) : unbound;
}

function byCertificate(call: Call, { certificate }: Peer): Confirmed {
  const bound = "this client's tokens are bound to its certificate";
  // A token is bound to one key: which of two would be meant, nobody could say later.
  if (call.header("dpop") !== undefined)
    throw new OAuthError("invalid_request", `${bound}: send no DPoP proof`);
  if (!certificate) throw new OAuthError("invalid_request", `${bound}, and none came`);
  return { confirmation: { "x5t#S256": certificate.thumbprint }, headers: {} };
}

async function byProof(ground: DpopGround, call: Call): Promise<Confirmed> {
  const proved = await proveKey(ground, call);
  if (!proved)
    throw new OAuthError(
      "invalid_dpop_proof",
      "this client's tokens are bound to a key: a DPoP proof is missing",
    );
  return { confirmation: { jkt: proved.jkt }, headers: proved.headers };
}

const unbound: Confirmed = { headers: {} };
