/** A certificate authority for tests: certificates of servers on loopback and of clients, valid for an hour by default. */
import "reflect-metadata";
import { hash, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

export type Certificate = {
  /** PEM. */
  readonly certificate: string;
  /** PKCS #8, PEM. */
  readonly key: string;
  readonly x509: x509.X509Certificate;
  readonly der: Uint8Array;
  /** base64url SHA-256 of the DER encoding, as in `x5t#S256`. */
  readonly thumbprint: string;
  readonly publicJwk: JsonWebKey;
};

export type CertificateOptions = {
  readonly algorithm?: keyof typeof algorithms;
  readonly from?: Date;
  readonly until?: Date;
  /** Subject alternative names. */
  readonly names?: x509.JsonGeneralNames;
};
/** A subject name, as `CN=agent-1, O=Example` or attribute by attribute. */
export type Subject = string | x509.JsonNameParams;

export type CertificateAuthority = {
  /** The certificate of the authority, PEM. */
  readonly ca: string;
  /** Issues a server certificate for these DNS names, 127.0.0.1 and ::1. */
  readonly issueForServer: (...names: string[]) => Promise<Certificate>;
  /** Issues a client certificate. */
  readonly issueForClient: (subject: Subject, wish?: CertificateOptions) => Promise<Certificate>;
};

const curve = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const algorithms = {
  ES256: curve,
  RS256: {
    name: "RSASSA-PKCS1-v1_5",
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: "SHA-256",
  },
} as const;
x509.cryptoProvider.set(webcrypto as Crypto);

/** Creates an authority. The options apply to its own certificate and to those of servers. */
export async function createCertificateAuthority({
  algorithm = "ES256",
  until,
}: Pick<CertificateOptions, "algorithm" | "until"> = {}): Promise<CertificateAuthority> {
  const keys = await generateKeys(algorithm);
  const good = until && { until };
  const name = "CN=Test authority";
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name,
    ...toValidity(good),
    keys,
    signingAlgorithm: algorithms[algorithm],
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  let serial = 1;
  async function issue(subject: Subject, usage: string, wish: CertificateOptions): Promise<Certificate> {
    serial += 1;
    const own = await generateKeys(wish.algorithm);
    const { names = [] } = wish;
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serial.toString(16).padStart(2, "0"),
      subject: new x509.Name(subject as string),
      issuer: name,
      ...toValidity({ ...good, ...wish }),
      publicKey: own.publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: algorithms[algorithm],
      extensions: [
        ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
        new x509.ExtendedKeyUsageExtension([usage]),
      ],
    });
    return toCertificate(certificate, own);
  }
  return {
    ca: authority.toString("pem"),
    issueForServer: (...names) =>
      issue(`CN=${names[0] ?? "localhost"}`, x509.ExtendedKeyUsage.serverAuth, {
        algorithm,
        names: [
          ...names.map((value) => ({ type: "dns" as const, value })),
          { type: "ip", value: "127.0.0.1" },
          { type: "ip", value: "::1" },
        ],
      }),
    issueForClient: (subject, wish = {}) => issue(subject, x509.ExtendedKeyUsage.clientAuth, wish),
  };
}

/** Creates a self-signed client certificate. */
export async function createSelfSigned(
  subject: Subject,
  wish: CertificateOptions = {},
): Promise<Certificate> {
  const { algorithm = "ES256" } = wish;
  const keys = await generateKeys(algorithm);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name: new x509.Name(subject as string),
    ...toValidity(wish),
    keys,
    signingAlgorithm: algorithms[algorithm],
    extensions: wish.names ? [new x509.SubjectAlternativeNameExtension(wish.names)] : [],
  });
  return toCertificate(certificate, keys);
}

function generateKeys(algorithm: keyof typeof algorithms = "ES256"): Promise<CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithms[algorithm], true, [
    "sign",
    "verify",
  ]) as Promise<CryptoKeyPair>;
}

function toValidity({ from, until }: CertificateOptions = {}) {
  return {
    // Certificates are verified by the real clock, whatever the clock of the test.
    notBefore: from ?? new Date(Date.now() - 24 * 3_600_000),
    notAfter: until ?? new Date(Date.now() + 3_600_000),
  };
}

async function toCertificate(certificate: x509.X509Certificate, keys: CryptoKeyPair): Promise<Certificate> {
  const key = x509.PemConverter.encode(
    await webcrypto.subtle.exportKey("pkcs8", keys.privateKey),
    "PRIVATE KEY",
  );
  const der = new Uint8Array(certificate.rawData);
  return {
    certificate: certificate.toString("pem"),
    key,
    x509: certificate,
    der,
    thumbprint: hash("sha256", der, "base64url"),
    publicJwk: await webcrypto.subtle.exportKey("jwk", keys.publicKey),
  };
}
