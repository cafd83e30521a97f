/** Validates the authorization server's metadata (OpenID Connect Discovery §3, RFC 8414). */
import { isObject, type JsonObject } from "@countersign/protocol";
import { isSameUrl, MetadataError, requireSecureUrl } from "@countersign/protocol/client";

export type Endpoint = "backchannel_authentication_endpoint" | "token_endpoint";
export type DeliveryMode = "poll" | "ping" | "push";

export type Metadata = { readonly [E in Endpoint]: string } & {
  /** URL of the keys that sign ID tokens. */
  readonly jwksUri: string | undefined;
  readonly idTokenAlgorithms: readonly string[];
};

/** The capabilities that this agent's options require of the server. */
export type RequiredCapabilities = {
  readonly issuer: string;
  /** Allows `http:` URLs beyond this machine. */
  readonly allowHttp: boolean;
  /** The agent presents a client certificate, so the mTLS aliases of the endpoints are used (RFC 8705 §5). */
  readonly byCertificate: boolean;
  readonly dpop: boolean;
  readonly delivery: DeliveryMode;
};

/** Validates the metadata. Throws a MetadataError if it is another issuer's, or lacks a required capability. */
export function readMetadata(body: JsonObject, needs: RequiredCapabilities): Metadata {
  const { issuer } = needs;
  if (typeof body.issuer !== "string" || !isSameUrl(body.issuer, issuer))
    throw new MetadataError(
      `the metadata at ${issuer} is for another issuer, ${JSON.stringify(body.issuer)}`,
    );
  const modes = body.backchannel_token_delivery_modes_supported;
  if (needs.delivery !== "poll" && !(Array.isArray(modes) && modes.includes(needs.delivery)))
    throw new MetadataError(
      `${issuer} does not support delivery mode ${needs.delivery} (backchannel_token_delivery_modes_supported)`,
    );
  if (needs.dpop && !Array.isArray(body.dpop_signing_alg_values_supported))
    throw new MetadataError(
      `${issuer} does not support DPoP: its metadata has no dpop_signing_alg_values_supported`,
    );

  const aliases =
    needs.byCertificate && isObject(body.mtls_endpoint_aliases) ? body.mtls_endpoint_aliases : {};
  const readEndpoint = (name: Endpoint): string => {
    const url = aliases[name] ?? body[name];
    if (typeof url !== "string") throw new MetadataError(`the metadata of ${issuer} has no ${name}`);
    requireSecureUrl(url, name, needs, MetadataError);
    return url;
  };
  const { jwks_uri: jwksUri, id_token_signing_alg_values_supported: algorithms } = body;
  if (typeof jwksUri === "string") requireSecureUrl(jwksUri, "jwks_uri", needs, MetadataError);
  return {
    backchannel_authentication_endpoint: readEndpoint("backchannel_authentication_endpoint"),
    token_endpoint: readEndpoint("token_endpoint"),
    jwksUri: typeof jwksUri === "string" ? jwksUri : undefined,
    idTokenAlgorithms: Array.isArray(algorithms) ? algorithms.filter((one) => typeof one === "string") : [],
  };
}
