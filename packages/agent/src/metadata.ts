/** What the server says of itself (OpenID Connect Discovery §3, RFC 8414), as far as an agent needs it. */
import { isObject, type JsonObject } from "@countersign/protocol";
import { isSameUrl, MetadataError, requireSecureUrl } from "@countersign/protocol/client";

export type Endpoint = "backchannel_authentication_endpoint" | "token_endpoint";
export type DeliveryMode = "poll" | "ping" | "push";

export type Metadata = { readonly [E in Endpoint]: string } & {
  /** Where the keys are that ID tokens are signed with. */
  readonly jwksUri: string | undefined;
  readonly idTokenAlgorithms: readonly string[];
};

/** What this agent is set up for, and the server must therefore do. */
export type Needs = {
  readonly issuer: string;
  /** Lets URLs be `http:` beyond this machine. */
  readonly allowHttp: boolean;
  /** A certificate goes with every request, so that they go where one is asked for (RFC 8705 §5). */
  readonly byCertificate: boolean;
  readonly dpop: boolean;
  readonly delivery: DeliveryMode;
};

/** Throws where the document is not this issuer's, or the server cannot do what the agent needs. */
export function readMetadata(body: JsonObject, needs: Needs): Metadata {
  const { issuer } = needs;
  if (typeof body.issuer !== "string" || !isSameUrl(body.issuer, issuer))
    throw new MetadataError(
      `the metadata at ${issuer} is for another issuer, ${JSON.stringify(body.issuer)}`,
    );
  const modes = body.backchannel_token_delivery_modes_supported;
  if (needs.delivery !== "poll" && !(Array.isArray(modes) && modes.includes(needs.delivery)))
    throw new MetadataError(
      `${issuer} does not ${needs.delivery}: its metadata does not name that delivery mode`,
    );
  if (needs.dpop && !Array.isArray(body.dpop_signing_alg_values_supported))
    throw new MetadataError(
      `${issuer} does not do DPoP: its metadata has no dpop_signing_alg_values_supported`,
    );

  const aliases =
    needs.byCertificate && isObject(body.mtls_endpoint_aliases) ? body.mtls_endpoint_aliases : {};
  const endpointOf = (name: Endpoint): string => {
    const url = aliases[name] ?? body[name];
    if (typeof url !== "string") throw new MetadataError(`the metadata of ${issuer} has no ${name}`);
    requireSecureUrl(url, name, needs, MetadataError);
    return url;
  };
  const { jwks_uri: jwksUri, id_token_signing_alg_values_supported: algorithms } = body;
  if (typeof jwksUri === "string") requireSecureUrl(jwksUri, "jwks_uri", needs, MetadataError);
  return {
    backchannel_authentication_endpoint: endpointOf("backchannel_authentication_endpoint"),
    token_endpoint: endpointOf("token_endpoint"),
    jwksUri: typeof jwksUri === "string" ? jwksUri : undefined,
    idTokenAlgorithms: Array.isArray(algorithms) ? algorithms.filter((one) => typeof one === "string") : [],
  };
}
