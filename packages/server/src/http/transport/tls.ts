/** Loads and validates certificate and key files, and sets TLS versions and cipher suites. */
import { constants, createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { SecureContextOptions } from "node:tls";
import type { Config } from "../../config/config.ts";
import type { TlsFiles } from "../../config/section/listen.ts";

/** An operator error: which file is wrong, and how to fix it. */
export type TlsRefusal = { readonly refused: string; readonly remedy: string };

/**
 * TLS 1.3, and the TLS 1.2 suites that FAPI 1.0 Advanced §8.5 allows and RFC 9325 §4.2 recommends: forward secrecy and GCM.
 * Without finite-field Diffie-Hellman, which FAPI allows and RFC 9325 §4.1 advises against.
 */
export const tlsDefaults = {
  minVersion: "TLSv1.2",
  // No renegotiation: the peer of a connection does not change.
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  honorCipherOrder: true,
  ciphers: [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
  ].join(":"),
} as const satisfies SecureContextOptions;

/** Checks the configured files. Returns the problems; empty if there are none. */
export function findTlsProblems({ listen, mtls }: Pick<Config, "listen" | "mtls">): readonly TlsRefusal[] {
  const [main, second] = [listen.tls, mtls?.listen?.tls];
  const results = [
    main && readTls(main),
    second && second.certificate !== main?.certificate && readTls(second),
    mtls?.authoritiesFile !== undefined && readCertificates(mtls.authoritiesFile),
  ];
  return results.filter((one) => typeof one === "object" && "refused" in one);
}

/** Reads certificate and key from their files. */
export function readTls({
  certificate,
  key,
}: TlsFiles): { readonly cert: string; readonly key: string } | TlsRefusal {
  const chain = readCertificates(certificate);
  if ("refused" in chain) return chain;
  const keyPem = read(key);
  if (typeof keyPem !== "string") return keyPem;
  const privateKey = parsePrivateKey(keyPem, key);
  if ("refused" in privateKey) return privateKey;
  const [leaf] = chain.certificates;
  if (!leaf?.checkPrivateKey(privateKey))
    return {
      refused: `${key} is not the key of the first certificate in ${certificate}`,
      remedy:
        "Use a certificate and key that belong together. The server's certificate must be the first in the file, before those of authorities.",
    };
  return { cert: chain.pem, key: keyPem };
}

/** Reads a PEM file with at least one certificate. Refuses if any certificate is unreadable. */
export function readCertificates(
  file: string,
): { readonly pem: string; readonly certificates: readonly X509Certificate[] } | TlsRefusal {
  const pem = read(file);
  if (typeof pem !== "string") return pem;
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  try {
    const certificates = blocks.map((block) => new X509Certificate(block));
    if (certificates.length > 0) return { pem, certificates };
  } catch {
    // Reported below.
  }
  return {
    refused: `${file} contains no readable certificate`,
    remedy: "Provide a certificate in PEM format.",
  };
}

function read(file: string): string | TlsRefusal {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    return {
      refused: `${file} ${code === "ENOENT" ? "does not exist" : `cannot be read (${code})`}`,
      remedy:
        "Create the file, readable by the account that runs the server, or change the path in the configuration.",
    };
  }
}

function parsePrivateKey(pem: string, file: string): KeyObject | TlsRefusal {
  try {
    return createPrivateKey(pem);
  } catch {
    return {
      refused: `${file} ${/ENCRYPTED/.test(pem) ? "has a passphrase" : "contains no readable private key"}`,
      remedy:
        "Provide a private key in PEM format without a passphrase, readable only by the account that runs the server.",
    };
  }
}
