/** Parses client credentials: exactly one method per request (RFC 6749 §2.3). `client-authentication.ts` verifies them. */
import type { ClientCertificate, TlsPeer } from "../transport/peer.ts";
import type { ProtocolRequest } from "../transport/protocol-request.ts";
import type { Form } from "./form.ts";
import { readUnverifiedIssuer } from "./jwt.ts";
import { OAuthError } from "./oauth-error.ts";

export type ClientCredentials =
  | {
      readonly method: "client_secret_basic" | "client_secret_post";
      readonly id: string;
      readonly secret: string;
    }
  | { readonly method: "assertion"; readonly id: string; readonly assertion: string }
  | { readonly method: "certificate"; readonly id: string; readonly certificate: ClientCertificate };

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/** Returns the credentials of a request. Throws `invalid_request` for two methods, `invalid_client` (401) for none. */
export function readClientCredentials(
  request: ProtocolRequest,
  form: Form,
  { certificate }: TlsPeer,
): ClientCredentials {
  const authorization = request.header("authorization");
  const secret = form.get("client_secret");
  const assertion = form.get("client_assertion");
  const id = form.get("client_id");
  if ([authorization, secret, assertion].filter((one) => one !== undefined).length > 1)
    throw new OAuthError("invalid_request", "use one method of client authentication");
  if (authorization !== undefined) return readBasic(authorization, id);
  if (secret !== undefined && id !== undefined) return { method: "client_secret_post", id, secret };
  if (assertion !== undefined) {
    if (form.get("client_assertion_type") !== assertionType)
      throw new OAuthError("invalid_request", "client_assertion_type is missing or unknown");
    const issuer = readUnverifiedIssuer(assertion);
    if (issuer === undefined || (id !== undefined && id !== issuer))
      throw createInvalidClientError("assertion");
    return { method: "assertion", id: issuer, assertion };
  }
  // A certificate authenticates only if there are no other credentials: clients also send one to bind their tokens.
  if (secret === undefined && id !== undefined && certificate)
    return { method: "certificate", id, certificate };
  // RFC 8705 §2: client_id is needed, because the certificate alone does not say which client this is.
  const missing = certificate ? "client_id or another client authentication" : "client authentication";
  throw new OAuthError("invalid_client", `${missing} is missing`, { status: 401 });
}

/** Parses Basic credentials. Id and secret are form-encoded (RFC 6749 §2.3.1); some clients encode even a hyphen. */
function readBasic(authorization: string, id: string | undefined): ClientCredentials {
  const encoded = /^basic ([a-z0-9+/=_-]+)$/i.exec(authorization)?.[1];
  const pair = encoded === undefined ? "" : Buffer.from(encoded, "base64").toString("utf8");
  const colon = pair.indexOf(":");
  if (colon < 0) throw createInvalidClientError("client_secret_basic");
  try {
    const [username = "", secret = ""] = [pair.slice(0, colon), pair.slice(colon + 1)].map((half) =>
      decodeURIComponent(half.replaceAll("+", " ")),
    );
    if (id !== undefined && id !== username) throw createInvalidClientError("client_secret_basic");
    return { method: "client_secret_basic", id: username, secret };
  } catch {
    throw createInvalidClientError("client_secret_basic");
  }
}

/** Every failure returns the same error, to avoid an oracle. `WWW-Authenticate` only if Basic was used (RFC 6749 §5.2). */
export function createInvalidClientError(method: ClientCredentials["method"]): OAuthError {
  const description = "client authentication failed";
  if (method !== "client_secret_basic") return new OAuthError("invalid_client", description, { status: 401 });
  const headers = { "www-authenticate": 'Basic realm="countersign"' };
  return new OAuthError("invalid_client", description, { status: 401, headers });
}
