/** TLS as this server speaks it, and the files that it needs, each held against the others before anybody listens. */
import { constants, createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { SecureContextOptions } from "node:tls";
import type { Config } from "../../config/config.ts";
import type { TlsFiles } from "../../config/listening.ts";

/** What an operator can put right: which file, and how. */
export type TlsRefusal = { readonly refused: string; readonly remedy: string };

/**
 * TLS 1.3, and of 1.2 what FAPI 1.0 Advanced §8.5 allows and RFC 9325 §4.2 recommends: forward secrecy and GCM. FAPI allows
 * finite-field Diffie-Hellman as well; RFC 9325 §4.1 advises against it, and nobody who speaks 1.2 needs it.
 */
export const suites = {
  minVersion: "TLSv1.2",
  // Who a connection belongs to does not change while it lasts.
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

/** What is wrong with the files that the configuration names. */
export function findTlsProblems({ listen, mtls }: Pick<Config, "listen" | "mtls">): readonly TlsRefusal[] {
  const [main, second] = [listen.tls, mtls?.listen?.tls];
  const read = [
    main && readTls(main),
    second && second.certificate !== main?.certificate && readTls(second),
    mtls?.authoritiesFile !== undefined && readCertificates(mtls.authoritiesFile),
  ];
  return read.filter((one) => typeof one === "object" && "refused" in one);
}

/** Reads certificate and key anew. */
export function readTls({
  certificate,
  key,
}: TlsFiles): { readonly cert: string; readonly key: string } | TlsRefusal {
  const chain = readCertificates(certificate);
  if ("refused" in chain) return chain;
  const secret = read(key);
  if (typeof secret !== "string") return secret;
  const opened = openKey(secret, key);
  if ("refused" in opened) return opened;
  const [own] = chain.certificates;
  if (!own?.checkPrivateKey(opened))
    return {
      refused: `${key} is not the key of the first certificate in ${certificate}`,
      remedy:
        "Name the two that were made together; the server's certificate goes before those of authorities.",
    };
  return { cert: chain.pem, key: secret };
}

/** PEM, with at least one certificate in it, and none that cannot be read. */
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
    // Said below.
  }
  return {
    refused: `${file} holds no certificate that can be read`,
    remedy: "A certificate in PEM is needed.",
  };
}

function read(file: string): string | TlsRefusal {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    return {
      refused: `${file} ${code === "ENOENT" ? "is not there" : `cannot be read (${code})`}`,
      remedy:
        "Put it there, readable for the account that runs the server; or name another in the configuration.",
    };
  }
}

function openKey(pem: string, file: string): KeyObject | TlsRefusal {
  try {
    return createPrivateKey(pem);
  } catch {
    return {
      refused: `${file} ${/ENCRYPTED/.test(pem) ? "has a passphrase" : "holds no private key that can be read"}`,
      remedy: "A private key in PEM without a passphrase is needed, readable for the server's account alone.",
    };
  }
}
