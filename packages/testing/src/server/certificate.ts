/** A certificate authority for one test: certificates for servers on loopback and for clients, good for an hour unless said. */
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

export type Wish = {
  readonly algorithm?: keyof typeof algorithms;
  readonly from?: Date;
  readonly until?: Date;
  /** Subject alternative names. */
  readonly names?: x509.JsonGeneralNames;
};
/** As `CN=agent-1, O=Example`, the outermost first; or attribute by attribute, for what that cannot write. */
export type Subject = string | x509.JsonNameParams;

export type Certificates = {
  /** The authority's own certificate, PEM. */
  readonly ca: string;
  /** For a server by these names, on 127.0.0.1 and ::1 as well. */
  readonly forServer: (...names: string[]) => Promise<Certificate>;
  /** For a client, signed by this authority. */
  readonly forClient: (subject: Subject, wish?: Wish) => Promise<Certificate>;
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

/** What is said here is of the authority and of servers; clients have wishes of their own, and are good for as long. */
export async function createCertificates({
  algorithm = "ES256",
  until,
}: Pick<Wish, "algorithm" | "until"> = {}): Promise<Certificates> {
  const keys = await newKeys(algorithm);
  const good = until && { until };
  const name = "CN=Test authority";
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name,
    ...anHour(good),
    keys,
    signingAlgorithm: algorithms[algorithm],
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  let serial = 1;
  async function issue(subject: Subject, usage: string, wish: Wish): Promise<Certificate> {
    serial += 1;
    const own = await newKeys(wish.algorithm);
    const { names = [] } = wish;
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serial.toString(16).padStart(2, "0"),
      subject: new x509.Name(subject as string),
      issuer: name,
      ...anHour({ ...good, ...wish }),
      publicKey: own.publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: algorithms[algorithm],
      extensions: [
        ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
        new x509.ExtendedKeyUsageExtension([usage]),
      ],
    });
    return withKey(certificate, own);
  }
  return {
    ca: authority.toString("pem"),
    forServer: (...names) =>
      issue(`CN=${names[0] ?? "localhost"}`, x509.ExtendedKeyUsage.serverAuth, {
        algorithm,
        names: [
          ...names.map((value) => ({ type: "dns" as const, value })),
          { type: "ip", value: "127.0.0.1" },
          { type: "ip", value: "::1" },
        ],
      }),
    forClient: (subject, wish = {}) => issue(subject, x509.ExtendedKeyUsage.clientAuth, wish),
  };
}

/** A client's certificate that nobody but itself has signed. */
export async function selfSigned(subject: Subject, wish: Wish = {}): Promise<Certificate> {
  const { algorithm = "ES256" } = wish;
  const keys = await newKeys(algorithm);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name: new x509.Name(subject as string),
    ...anHour(wish),
    keys,
    signingAlgorithm: algorithms[algorithm],
    extensions: wish.names ? [new x509.SubjectAlternativeNameExtension(wish.names)] : [],
  });
  return withKey(certificate, keys);
}

function newKeys(algorithm: keyof typeof algorithms = "ES256"): Promise<CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithms[algorithm], true, [
    "sign",
    "verify",
  ]) as Promise<CryptoKeyPair>;
}

function anHour({ from, until }: Wish = {}) {
  return {
    // A test may have moved its clock on; who checks a certificate goes by the real one.
    notBefore: from ?? new Date(Date.now() - 24 * 3_600_000),
    notAfter: until ?? new Date(Date.now() + 3_600_000),
  };
}

async function withKey(certificate: x509.X509Certificate, keys: CryptoKeyPair): Promise<Certificate> {
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
