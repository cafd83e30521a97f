import {
  isSameUrl,
  MetadataError,
  NetworkError,
  requireSecureUrl,
  toDiscoveryError,
} from "@countersign/protocol/client";
import { createRemoteJWKSet, customFetch, type JWTVerifyGetKey } from "jose";

/** The authorization server's signing keys and spend endpoint. */
export type AuthorizationServer = {
  /** The `issuer` of the metadata, which is the `iss` of every token. */
  readonly issuer: string;
  readonly keys: JWTVerifyGetKey;
  readonly spendEndpoint: string;
};
/** Returns the cached authorization server, or fetches its metadata. Rejects if the fetch fails. */
export type Discover = () => AuthorizationServer | Promise<AuthorizationServer>;

export type DiscoveryDeps = {
  readonly issuer: string;
  readonly fetch: typeof fetch;
  readonly allowHttp?: boolean;
};

const maxRequestMs = 5_000;

/**
 * Fetches the metadata (OpenID Connect Discovery §4) once. Keys are cached for ten minutes, and fetched again when a token
 * names an unknown key.
 */
export function createDiscovery(deps: DiscoveryDeps): Discover {
  requireSecureUrl(deps.issuer, "the issuer", deps);
  let known: AuthorizationServer | undefined;
  let pending: Promise<AuthorizationServer> | undefined;
  return () => {
    if (known) return known;
    pending ??= read(deps)
      .then((authority) => {
        known = authority;
        return authority;
      })
      .finally(() => {
        pending = undefined;
      });
    return pending;
  };
}

async function read(deps: DiscoveryDeps): Promise<AuthorizationServer> {
  const { issuer, fetch } = deps;
  const metadata = await fetchMetadata(issuer, fetch).catch((cause) => {
    throw toDiscoveryError(`the metadata of ${issuer} cannot be read`, cause);
  });
  if (typeof metadata?.issuer !== "string" || !isSameUrl(metadata.issuer, issuer))
    throw new MetadataError(`the metadata at ${issuer} is for another issuer`);
  const endpointOf = (name: string): string => {
    const url = metadata[name];
    if (typeof url !== "string") throw new MetadataError(`the metadata of ${issuer} has no ${name}`);
    requireSecureUrl(url, name, deps, MetadataError);
    return url;
  };
  return {
    issuer: metadata.issuer,
    keys: createRemoteJWKSet(new URL(endpointOf("jwks_uri")), {
      [customFetch]: fetch,
      timeoutDuration: maxRequestMs,
    }),
    spendEndpoint: endpointOf("spend_endpoint"),
  };
}

async function fetchMetadata(
  issuer: string,
  fetch: DiscoveryDeps["fetch"],
): Promise<{ readonly [name: string]: unknown } | null> {
  const response = await fetch(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`, {
    headers: { accept: "application/json" },
    redirect: "manual",
    signal: AbortSignal.timeout(maxRequestMs),
  });
  const { status } = response;
  if (status >= 500 || status === 429)
    throw new NetworkError(`${issuer} returned ${status} instead of its metadata`);
  if (status !== 200) throw new MetadataError(`${issuer} returned ${status} instead of its metadata`);
  return await response.json();
}
