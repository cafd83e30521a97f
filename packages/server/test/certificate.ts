/** A certificate authority for one test: certificates for servers on loopback and for clients, good for an hour. */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

export type Certificate = {
  /** PEM. */
  readonly certificate: string;
  /** PKCS #8, PEM. */
  readonly key: string;
  readonly x509: x509.X509Certificate;
};

export type Certificates = {
  /** The authority's own certificate, PEM. */
  readonly ca: string;
  /** For a server by these names, on 127.0.0.1 and ::1 as well. */
  readonly forServer: (...names: string[]) => Promise<Certificate>;
  /** For a client, signed by this authority. `subject` is a distinguished name, as in `CN=agent-1, O=Example`. */
  readonly forClient: (subject: string, names?: x509.JsonGeneralNames) => Promise<Certificate>;
};

const curve = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
x509.cryptoProvider.set(webcrypto as Crypto);

export async function createCertificates(): Promise<Certificates> {
  const keys = await newKeys();
  const name = "CN=Test authority";
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name,
    ...anHour(),
    keys,
    signingAlgorithm: curve,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  let serial = 1;
  async function issue(subject: string, names: x509.JsonGeneralNames, usage: string): Promise<Certificate> {
    serial += 1;
    const own = await newKeys();
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serial.toString(16).padStart(2, "0"),
      subject,
      issuer: name,
      ...anHour(),
      publicKey: own.publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: curve,
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
      issue(
        `CN=${names[0] ?? "localhost"}`,
        [
          ...names.map((value) => ({ type: "dns" as const, value })),
          { type: "ip", value: "127.0.0.1" },
          { type: "ip", value: "::1" },
        ],
        x509.ExtendedKeyUsage.serverAuth,
      ),
    forClient: (subject, names = []) => issue(subject, names, x509.ExtendedKeyUsage.clientAuth),
  };
}

/** A client's certificate that nobody but itself has signed. */
export async function selfSigned(name: string): Promise<Certificate> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name,
    ...anHour(),
    keys,
    signingAlgorithm: curve,
  });
  return withKey(certificate, keys);
}

function newKeys(): Promise<CryptoKeyPair> {
  return webcrypto.subtle.generateKey(curve, true, ["sign", "verify"]) as Promise<CryptoKeyPair>;
}

function anHour() {
  return { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) };
}

async function withKey(
  certificate: x509.X509Certificate,
  { privateKey }: CryptoKeyPair,
): Promise<Certificate> {
  const der = await webcrypto.subtle.exportKey("pkcs8", privateKey);
  const key = x509.PemConverter.encode(der, "PRIVATE KEY");
  return { certificate: certificate.toString("pem"), key, x509: certificate };
}
