/**
 * Determines what a token is bound to (RFC 7800): a DPoP key, the client's certificate, or nothing. A client that is
 * registered for one of the two receives no token without it. Any other client may send a DPoP proof to bind its token.
 */
import type { Agent } from "../../domain/client/client.ts";
import type { Confirmation } from "../../domain/token/token.ts";
import type { TlsPeer } from "../transport/peer.ts";
import type { ProtocolRequest } from "../transport/protocol-request.ts";
import { type DpopDeps, verifyDpopProof } from "./dpop.ts";
import { OAuthError } from "./oauth-error.ts";

export type TokenBindingResult = {
  readonly confirmation?: Confirmation;
  /** Headers for every response to this request. */
  readonly headers: Readonly<Record<string, string>>;
};

/** Determines the binding of the token. Synchronous unless there is a DPoP proof to verify. */
export function bindToken(
  deps: DpopDeps,
  request: ProtocolRequest,
  { binding }: Agent,
  peer: TlsPeer,
): TokenBindingResult | Promise<TokenBindingResult> {
  if (binding === "mtls") return bindToCertificate(request, peer);
  return binding === "dpop" || request.header("dpop") !== undefined ? bindToDpopKey(deps, request) : unbound;
}

function bindToCertificate(request: ProtocolRequest, { certificate }: TlsPeer): TokenBindingResult {
  const requirement = "this client's tokens are bound to its certificate";
  // A token is bound to one key, so a certificate and a DPoP proof exclude each other.
  if (request.header("dpop") !== undefined)
    throw new OAuthError("invalid_request", `${requirement}: send no DPoP proof`);
  if (!certificate) throw new OAuthError("invalid_request", `${requirement}: the certificate is missing`);
  return { confirmation: { "x5t#S256": certificate.thumbprint }, headers: {} };
}

async function bindToDpopKey(deps: DpopDeps, request: ProtocolRequest): Promise<TokenBindingResult> {
  const proof = await verifyDpopProof(deps, request);
  if (!proof)
    throw new OAuthError(
      "invalid_dpop_proof",
      "this client's tokens are bound to a key: a DPoP proof is missing",
    );
  return { confirmation: { jkt: proof.jkt }, headers: proof.headers };
}

const unbound: TokenBindingResult = { headers: {} };
