/** What the server says of itself (OpenID Connect Discovery §3, RFC 8414), as far as an agent needs it. */
import { InvalidArgumentError, type JsonObject, MetadataError } from "@countersign/protocol";
import { isObject } from "./request/action.ts";

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
  if (typeof body.issuer !== "string" || !sameUrl(body.issuer, issuer))
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
    requireSecure(url, name, needs, MetadataError);
    return url;
  };
  const { jwks_uri: jwksUri, id_token_signing_alg_values_supported: algorithms } = body;
  if (typeof jwksUri === "string") requireSecure(jwksUri, "jwks_uri", needs, MetadataError);
  return {
    backchannel_authentication_endpoint: endpointOf("backchannel_authentication_endpoint"),
    token_endpoint: endpointOf("token_endpoint"),
    jwksUri: typeof jwksUri === "string" ? jwksUri : undefined,
    idTokenAlgorithms: Array.isArray(algorithms) ? algorithms.filter((one) => typeof one === "string") : [],
  };
}

export function requireSecure(
  url: string,
  name: string,
  { allowHttp }: Pick<Needs, "allowHttp">,
  Failure: typeof InvalidArgumentError | typeof MetadataError = InvalidArgumentError,
): void {
  if (!URL.canParse(url)) throw new Failure(`${name} is not a URL: ${url}`);
  const { protocol, hostname } = new URL(url);
  const here = /^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
  if (protocol === "https:" || (protocol === "http:" && (here || allowHttp))) return;
  throw new Failure(`${name} must be https: (${url}); http: only on this machine, or with allowHttp`);
}

/** The same URL after normalization: a root issuer may be spelled with its slash or without. */
export function sameUrl(one: string, other: string): boolean {
  return one === other || (URL.canParse(one) && new URL(one).href === new URL(other).href);
}
