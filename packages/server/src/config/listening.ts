/** Listeners, TLS, and how client certificates reach the server. */

import { isIP } from "node:net";
import { type AuthenticationMethod, authenticationMethods } from "../domain/client/client.ts";
import type { Path } from "./document.ts";
import type { SectionProblem } from "./schema.ts";
import { findUrlProblem } from "./url-check.ts";

/** Certificate chain and private key: absolute paths of PEM files. */
export type TlsFiles = { readonly certificate: string; readonly key: string };

export type ListenSettings = {
  readonly host: string;
  readonly port: number;
  /** Undefined: HTTP without TLS. */
  readonly tls?: TlsFiles;
};

export type MtlsSettings = {
  /** URL for clients with a certificate: the issuer, or another host or port. No trailing slash. */
  readonly url: string;
  /** Separate listener for protocol endpoints. Undefined: the main listener requests certificates from all clients. */
  readonly listen?: ListenSettings;
  /** PEM file of the authorities that are trusted for `tls_client_auth`. */
  readonly authoritiesFile?: string;
  /** A TLS-terminating proxy, and the header in which it passes the certificate. */
  readonly proxy?: {
    /** Header name, in lower case. */
    readonly header: string;
    /** Address ranges from which the header is trusted. */
    readonly addresses: readonly string[];
    /** True if the proxy verifies certificates against its own authorities. */
    readonly verified: boolean;
  };
};

type TlsSection = { readonly certificate: string; readonly key: string };
type ListenSection = {
  readonly host: string;
  readonly port: number;
  readonly tls?: TlsSection | undefined;
};
type MtlsSection = {
  readonly url: string;
  readonly listen?: ListenSection | undefined;
  readonly authorities?: string | undefined;
  readonly proxy?:
    | { readonly header: string; readonly addresses: readonly string[]; readonly verified: boolean }
    | undefined;
};
type ListenSections = {
  readonly issuer: string;
  readonly listen: ListenSection;
  readonly mtls?: MtlsSection | undefined;
};

export function checkListenSettings(
  { issuer, listen, mtls }: ListenSections,
  addProblem: (problem: SectionProblem) => void,
): void {
  if (listen.tls && !issuer.startsWith("https:"))
    addProblem({
      path: ["listen", "tls"],
      message: "listen.tls is set, but the issuer is an http URL",
      remedy: "write the issuer with https, or remove listen.tls",
    });
  if (mtls) checkMtls(issuer, listen, mtls, addProblem);
}

function checkMtls(
  issuer: string,
  listen: ListenSection,
  mtls: MtlsSection,
  addProblem: (problem: SectionProblem) => void,
): void {
  const addMtlsProblem = (key: string, message: string, remedy: string) =>
    addProblem({ path: ["mtls", key] as Path, message, remedy });
  const problem = findUrlProblem(mtls.url, "URL for certificates");
  if (problem) addProblem({ path: ["mtls", "url"], ...problem });
  else if (!mtls.url.startsWith("https:"))
    addMtlsProblem("url", "client certificates need https", "write an https URL");
  const isIssuer = mtls.url === issuer;
  if (isIssuer && mtls.listen)
    addMtlsProblem(
      "listen",
      "a separate listener needs a separate URL, but mtls.url is the issuer",
      "remove mtls.listen to request certificates on the main listener, or give mtls.url another port or host",
    );
  if (!isIssuer && !mtls.listen && !mtls.proxy)
    addMtlsProblem(
      "url",
      "no listener serves this URL",
      "add mtls.listen, or mtls.proxy if a proxy terminates TLS, or write the issuer here",
    );
  if (mtls.proxy && mtls.authorities !== undefined)
    addMtlsProblem(
      "authorities",
      "the proxy terminates TLS and uses its own authorities",
      "configure them in the proxy, and set mtls.proxy.verified",
    );
  const tls = mtls.listen?.tls ?? listen.tls;
  if (!mtls.proxy && !tls && (isIssuer || mtls.listen))
    addMtlsProblem(
      isIssuer ? "url" : "listen",
      "client certificates need TLS on this listener",
      "add listen.tls, or mtls.proxy if a proxy terminates TLS",
    );
}

/** Returns the supported client authentication methods; those with certificates only if mutual TLS is configured. */
export function listOfferedAuthMethods(
  mtls: Pick<MtlsSettings, "authoritiesFile" | "proxy"> | undefined,
): readonly AuthenticationMethod[] {
  const verifiesCertificates = mtls?.authoritiesFile !== undefined || mtls?.proxy?.verified === true;
  return authenticationMethods.filter((method) => {
    if (method === "tls_client_auth") return verifiesCertificates;
    return method !== "self_signed_tls_client_auth" || mtls !== undefined;
  });
}

/** Converts the checked sections. `path` makes a file path absolute. */
export function readListenSettings(
  { listen, mtls }: ListenSections,
  resolvePath: (file: string) => string,
): { readonly listen: ListenSettings; readonly mtls?: MtlsSettings } {
  const mainListener = toListenSettings(listen, listen.tls, resolvePath);
  if (!mtls) return { listen: mainListener };
  const { url, authorities, proxy } = mtls;
  const settings: MtlsSettings = {
    url,
    // Behind a proxy, the listener uses HTTP unless it has its own certificate.
    ...(mtls.listen && {
      listen: toListenSettings(mtls.listen, mtls.listen.tls ?? (proxy ? undefined : listen.tls), resolvePath),
    }),
    ...(authorities !== undefined && { authoritiesFile: resolvePath(authorities) }),
    ...(proxy && {
      proxy: { ...proxy, header: proxy.header.toLowerCase(), addresses: proxy.addresses.map(toCidr) },
    }),
  };
  return { listen: mainListener, mtls: settings };
}

function toListenSettings(
  { host, port }: ListenSection,
  tls: TlsSection | undefined,
  resolvePath: (file: string) => string,
): ListenSettings {
  return {
    host,
    port,
    ...(tls && { tls: { certificate: resolvePath(tls.certificate), key: resolvePath(tls.key) } }),
  };
}

function toCidr(address: string): string {
  const ipVersion = isIP(address);
  return ipVersion === 0 ? address : `${address}/${ipVersion === 4 ? 32 : 128}`;
}
