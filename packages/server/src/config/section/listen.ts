/** Listeners, TLS, and how client certificates reach the server. */

import { isIP } from "node:net";
import { z } from "zod";
import { type AuthenticationMethod, authenticationMethods } from "../../domain/client/client.ts";
import { isCidr } from "../../domain/url/ip-address.ts";
import { defineObject, defineText, file, flag, host, port } from "../field.ts";
import type { AddProblem } from "../problem.ts";
import { defineSection, type SectionContext, type SectionValues } from "../section.ts";
import { findUrlProblem } from "../url-check.ts";
import { issuerSection } from "./issuer.ts";
import { toSampleUrl } from "./passkeys.ts";

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

/** PEM files: the certificate with its chain, and the private key. */
const tls = defineObject({ certificate: file, key: file }).optional();

const shape = {
  // Default: loopback only.
  listen: defineObject({ host, port: port.default(4400), tls }).prefault({}),
  mtls: defineObject({
    url: z.string(),
    listen: defineObject({ host, port, tls }).optional(),
    authorities: file.optional(),
    proxy: defineObject({
      header: defineText(
        /^[A-Za-z0-9-]{1,64}$/,
        "the name of a header",
        "write it as client-cert (RFC 9440)",
      ).default("client-cert"),
      addresses: z
        .array(
          z.string().refine((address) => isIP(address) !== 0 || isCidr(address), {
            error: "this is no address, and no range of addresses\nwrite it as 10.1.0.5 or 10.1.0.0/16",
          }),
        )
        .min(
          1,
          "the list is empty, so no proxy would be trusted\nname the addresses that the proxy connects from",
        ),
      verified: flag,
    }).optional(),
  }).optional(),
};
type Values = SectionValues<typeof shape>;
type ListenValues = Omit<Values["listen"], "tls"> & { readonly tls?: Values["listen"]["tls"] };
type MtlsValues = NonNullable<Values["mtls"]>;

export const listenSection = defineSection({
  shape,
  read(
    { listen, mtls },
    context,
  ): {
    readonly listen: ListenSettings /** Undefined: no client certificate is requested. */;
    readonly mtls?: MtlsSettings;
  } {
    const { use, addProblem } = context;
    const issuer = use(issuerSection)?.settings.issuer;
    if (issuer !== undefined && listen.tls && !issuer.startsWith("https:"))
      addProblem({
        path: ["listen", "tls"],
        message: "listen.tls is set, but the issuer is an http URL",
        remedy: "write the issuer with https, or remove listen.tls",
      });
    if (mtls && issuer !== undefined) checkMtls(issuer, listen, mtls, addProblem);
    return readListenSettings({ listen, mtls }, context);
  },
  sample({ issuer }) {
    const { port, protocol } = toSampleUrl(issuer);
    // An https issuer without a port is served by a proxy, which can use any port of this machine.
    const listenPort = port || (protocol === "http:" ? "80" : "4400");
    return `# HTTP without TLS, for a reverse proxy that terminates TLS. docs/operations/tls.md shows how to terminate TLS here, and how
# agents authenticate with client certificates.
listen: { host: 127.0.0.1, port: ${listenPort} }
`;
  },
});

function checkMtls(issuer: string, listen: ListenValues, mtls: MtlsValues, addProblem: AddProblem): void {
  const addMtlsProblem = (key: string, message: string, remedy: string) =>
    addProblem({ path: ["mtls", key], message, remedy });
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

function readListenSettings(
  { listen, mtls }: Values,
  { resolvePath }: Pick<SectionContext, "resolvePath">,
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
  { host, port }: ListenValues,
  tls: ListenValues["tls"],
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
