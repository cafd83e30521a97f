/**
 * What a token will be bound to (RFC 7800): the key of a DPoP proof, or the client's certificate, or nothing. A client that
 * is registered for one of the two gets no token without it; any other may bring a DPoP proof and gets a token bound to it.
 */
import type { Agent } from "../../domain/client/client.ts";
import type { Confirmation } from "../../domain/token/token.ts";
import type { TlsPeer } from "../transport/peer.ts";
import type { ProtocolRequest } from "../transport/protocol-request.ts";
import { type DpopDeps, verifyDpopProof } from "./dpop.ts";
import { OAuthError } from "./oauth-error.ts";

export type TokenBindingResult = {
  readonly confirmation?: Confirmation;
  /** For the answer to this request, whatever it is. */
  readonly headers: Readonly<Record<string, string>>;
};

/** Most clients prove nothing, and wait for nothing here. */
export function bindToken(
  deps: DpopDeps,
  call: ProtocolRequest,
  { binding }: Agent,
  peer: TlsPeer,
): TokenBindingResult | Promise<TokenBindingResult> {
  if (binding === "mtls") return bindToCertificate(call, peer);
  return binding === "dpop" || call.header("dpop") !== undefined ? bindToDpopKey(deps, call) : unbound;
}

function bindToCertificate(call: ProtocolRequest, { certificate }: TlsPeer): TokenBindingResult {
  const bound = "this client's tokens are bound to its certificate";
  // A token is bound to one key: which of two would be meant, nobody could say later.
  if (call.header("dpop") !== undefined)
    throw new OAuthError("invalid_request", `${bound}: send no DPoP proof`);
  if (!certificate) throw new OAuthError("invalid_request", `${bound}, and none came`);
  return { confirmation: { "x5t#S256": certificate.thumbprint }, headers: {} };
}

async function bindToDpopKey(deps: DpopDeps, call: ProtocolRequest): Promise<TokenBindingResult> {
  const proved = await verifyDpopProof(deps, call);
  if (!proved)
    throw new OAuthError(
      "invalid_dpop_proof",
      "this client's tokens are bound to a key: a DPoP proof is missing",
    );
  return { confirmation: { jkt: proved.jkt }, headers: proved.headers };
}

const unbound: TokenBindingResult = { headers: {} };
