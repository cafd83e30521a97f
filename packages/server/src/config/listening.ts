/** Where the server listens, in clear or with TLS, and how a client's certificate reaches it. */

import { isIP } from "node:net";
import { type AuthenticationMethod, authenticationMethods } from "../domain/client/client.ts";
import type { Path } from "./document.ts";
import type { SectionProblem } from "./schema.ts";
import { findUrlProblem } from "./url-check.ts";

/** A certificate with its chain, and its private key: files in PEM, absolute paths. */
export type TlsFiles = { readonly certificate: string; readonly key: string };

export type ListenSettings = {
  readonly host: string;
  readonly port: number;
  /** Without, in clear. */
  readonly tls?: TlsFiles;
};

export type MtlsSettings = {
  /** Where clients with a certificate go: the issuer, or a host of its own. No slash at its end. */
  readonly url: string;
  /** A listener of its own, for what clients call and no pages. Without, the main one is asked by everybody. */
  readonly listen?: ListenSettings;
  /** A file in PEM: whose word is good for the names in certificates (`tls_client_auth`). */
  readonly authoritiesFile?: string;
  /** Who ends TLS in place of the server, and how it passes the certificate on. */
  readonly proxy?: {
    /** In lower case. */
    readonly header: string;
    /** Ranges of addresses from which the header is believed. */
    readonly addresses: readonly string[];
    /** Whether it lets through only certificates that an authority of its configuration has signed. */
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
      message: "the server would listen with TLS, and the issuer says http",
      remedy: "write the issuer with https; or take listen.tls out",
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
    addMtlsProblem("url", "there are no certificates over http", "write it with https");
  const isIssuer = mtls.url === issuer;
  if (isIssuer && mtls.listen)
    addMtlsProblem(
      "listen",
      "a listener of its own is for a URL of its own, and this is the issuer's",
      "take mtls.listen out, and everybody is asked for a certificate; or give mtls.url a port or a host of its own",
    );
  if (!isIssuer && !mtls.listen && !mtls.proxy)
    addMtlsProblem(
      "url",
      "nothing would answer there",
      "add mtls.listen; or mtls.proxy, if a proxy ends TLS; or write the issuer here",
    );
  if (mtls.proxy && mtls.authorities !== undefined)
    addMtlsProblem(
      "authorities",
      "the proxy ends TLS, and knows its own authorities",
      "configure them there, and say mtls.proxy.verified",
    );
  const tls = mtls.listen?.tls ?? listen.tls;
  if (!mtls.proxy && !tls && (isIssuer || mtls.listen))
    addMtlsProblem(
      isIssuer ? "url" : "listen",
      "without TLS nobody can be asked for a certificate",
      "add listen.tls, or mtls.proxy if a proxy ends TLS",
    );
}

/** How clients can prove themselves to this server: by a certificate only where it can see one, and knows whose word it is. */
export function listOfferedAuthMethods(
  mtls: Pick<MtlsSettings, "authoritiesFile" | "proxy"> | undefined,
): readonly AuthenticationMethod[] {
  const verifiesCertificates = mtls?.authoritiesFile !== undefined || mtls?.proxy?.verified === true;
  return authenticationMethods.filter((method) => {
    if (method === "tls_client_auth") return verifiesCertificates;
    return method !== "self_signed_tls_client_auth" || mtls !== undefined;
  });
}

/** `path` makes a file's path absolute. What is checked above holds. */
export function readListenSettings(
  { listen, mtls }: ListenSections,
  resolvePath: (file: string) => string,
): { readonly listen: ListenSettings; readonly mtls?: MtlsSettings } {
  const mainListener = toListenSettings(listen, listen.tls, resolvePath);
  if (!mtls) return { listen: mainListener };
  const { url, authorities, proxy } = mtls;
  const settings: MtlsSettings = {
    url,
    // Behind a proxy it is spoken to in clear, unless it was given a certificate of its own.
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
