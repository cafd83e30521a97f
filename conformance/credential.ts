/**
 * What an agent proves itself with, of every kind: secrets, keys, certificates. Made by the harness, registered with the
 * server as an operator would, and handed to whoever plays the agent.
 */

import { type Certificates, selfSigned, type Wish } from "@countersign/testing/server/certificate";
import { exportJWK, generateKeyPair, type JWK } from "jose";
import type { NewAgent, NewCredential } from "../packages/server/src/usecase/client/client-lifecycle.ts";
import type { Certificate } from "./call.ts";
import type { FullAgentPlan } from "./plan.ts";

export type Credentials = {
  readonly id: string;
  readonly method: FullAgentPlan["method"];
  readonly algorithm: FullAgentPlan["algorithm"];
  readonly secret?: string;
  /** Its private key, with `kid` and `alg`: for assertions, signed requests and proofs. */
  readonly key: JWK;
  /** Goes along with each of its connections. */
  readonly certificate?: Certificate;
};

/** Everything but the secret, which the server makes. */
export type Made = { readonly registration: NewAgent; readonly credentials: Credentials };

export type Workshop = {
  readonly certificates: Certificates;
  /** Encrypts as the server does what it has to keep. */
  readonly seal: (text: string) => Promise<string>;
  /** Whether certificates have RSA keys. */
  readonly rsa: boolean;
};

export async function makeCredentials(
  plan: FullAgentPlan,
  types: readonly string[],
  { certificates, seal, rsa }: Workshop,
): Promise<Made> {
  const { id, method, algorithm, delivery, binding } = plan;
  const pair = await generateKeyPair(algorithm, { extractable: true, modulusLength: 2048 });
  const about = { kid: `${id}-1`, alg: algorithm, use: "sig" };
  const publicKey = { ...(await exportJWK(pair.publicKey)), ...about };
  const certified = method.endsWith("tls_client_auth") || binding === "mtls";
  // As long as the server's own, for suites that run for long.
  const until = new Date(Date.now() + 90 * 24 * 3_600_000);
  const wish: Wish = { until, algorithm: rsa ? "RS256" : "ES256" };
  const certificate =
    certified &&
    (method === "self_signed_tls_client_auth"
      ? await selfSigned(`CN=${id}`, wish)
      : await certificates.forClient(`CN=${id}`, wish));
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
      credential: credentialOf(method, id, seal),
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
      key: { ...(await exportJWK(pair.privateKey)), ...about },
      ...(certificate && { certificate: { certificate: certificate.certificate, key: certificate.key } }),
    },
  };
}

type NewAgentKeys = Extract<NewAgent["keys"], { from: "registration" }>;

function credentialOf(
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
