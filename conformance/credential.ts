/**
 * Creates agent credentials of every type: secrets, keys, certificates. The harness registers them as an operator would, and
 * passes them to the scenario.
 */

import {
  type CertificateAuthority,
  type CertificateOptions,
  createSelfSigned,
} from "@countersign/testing/server/certificate";
import { exportJWK, generateKeyPair, type JWK } from "jose";
import type { NewAgent, NewCredential } from "../packages/server/src/usecase/client/client-lifecycle.ts";
import type { Certificate } from "./call.ts";
import type { FullAgentPlan } from "./plan.ts";

export type Credentials = {
  readonly id: string;
  readonly method: FullAgentPlan["method"];
  readonly algorithm: FullAgentPlan["algorithm"];
  readonly secret?: string;
  /** Private key with `kid` and `alg`, for assertions, signed requests and DPoP proofs. */
  readonly key: JWK;
  /** Client certificate of each of its connections. */
  readonly certificate?: Certificate;
};

/** Creates all credentials except the secret, which the server creates. */
export type CreatedCredentials = { readonly registration: NewAgent; readonly credentials: Credentials };

export type CredentialDeps = {
  readonly certificates: CertificateAuthority;
  /** Seals stored secrets, as the server does. */
  readonly seal: (text: string) => Promise<string>;
  /** True if certificates have RSA keys. */
  readonly rsa: boolean;
};

export async function createCredentials(
  plan: FullAgentPlan,
  types: readonly string[],
  { certificates, seal, rsa }: CredentialDeps,
): Promise<CreatedCredentials> {
  const { id, method, algorithm, delivery, binding } = plan;
  const pair = await generateKeyPair(algorithm, { extractable: true, modulusLength: 2048 });
  const keyParameters = { kid: `${id}-1`, alg: algorithm, use: "sig" };
  const publicKey = { ...(await exportJWK(pair.publicKey)), ...keyParameters };
  const needsCertificate = method.endsWith("tls_client_auth") || binding === "mtls";
  // The validity period of the server's certificate, for long-running suites.
  const until = new Date(Date.now() + 90 * 24 * 3_600_000);
  const certificateOptions: CertificateOptions = { until, algorithm: rsa ? "RS256" : "ES256" };
  const certificate =
    needsCertificate &&
    (method === "self_signed_tls_client_auth"
      ? await createSelfSigned(`CN=${id}`, certificateOptions)
      : await certificates.issueForClient(`CN=${id}`, certificateOptions));
  const keys: JWK[] = [publicKey];
  if (certificate && method === "self_signed_tls_client_auth") {
    const x5c = [Buffer.from(certificate.x509.rawData).toString("base64")];
    const jwk = await exportJWK(await certificate.x509.publicKey.export());
    keys.push({ ...jwk, kid: `${id}-certificate`, x5c });
  }
  const endpoint = delivery.endpoint ?? "";
  return {
    registration: {
      id,
      name: plan.name ?? id,
      types: plan.types ?? types,
      credential: createCredential(method, id, seal),
      keys: { from: "registration", jwks: keys as NonNullable<NewAgentKeys>["jwks"] },
      ...(plan.one_algorithm && { assertionAlgorithm: algorithm }),
      delivery: delivery.mode === "poll" ? { mode: "poll" } : { mode: delivery.mode, endpoint },
      ...(plan.signs_requests && { requestAlgorithm: algorithm }),
      userCode: plan.user_code,
      ...(binding && { binding }),
    },
    credentials: {
      id,
      method,
      algorithm,
      key: { ...(await exportJWK(pair.privateKey)), ...keyParameters },
      ...(certificate && { certificate: { certificate: certificate.certificate, key: certificate.key } }),
    },
  };
}

type NewAgentKeys = Extract<NewAgent["keys"], { from: "registration" }>;

function createCredential(
  method: FullAgentPlan["method"],
  id: string,
  seal: (text: string) => Promise<string>,
): NewCredential {
  switch (method) {
    case "client_secret_jwt":
      return { method, seal };
    case "tls_client_auth":
      return { method, name: "subject_dn", value: `CN=${id}` };
    default:
      return { method };
  }
}
