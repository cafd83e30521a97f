/**
 * Verifies that the caller holds the key that the token is bound to: by a DPoP proof for this call (RFC 9449 §7) or by the
 * client certificate of the connection (RFC 8705 §3). The token determines which. Proofs are not stored against replay: a
 * proof names its token, and the token is spent once.
 */
import { createHmac, hash } from "node:crypto";
import {
  comparableUrl,
  createDpopNonces,
  type DpopNonces,
  proofAlgorithms,
  proofFaults,
  readDpopProof,
} from "@countersign/protocol";
import { InvalidArgumentError } from "@countersign/protocol/client";
import { calculateJwkThumbprint, EmbeddedJWK, type JWK, type JWTPayload, jwtVerify } from "jose";
import type { ClientCertificate, PresentedToken } from "./call.ts";
import type { Clock } from "./clock.ts";
import { createReject, type Rejection } from "./rejection.ts";

/** The key or certificate of a bound token, from its `cnf` claim (RFC 7800 §3). At least one member is set. */
export type Bound = { readonly jkt?: string; readonly thumbprint?: string };

/** Returns the binding of a token; undefined if it is unbound; `unknown` if `cnf` has members that are not supported. */
export function readBound({ cnf }: JWTPayload): Bound | undefined | "unknown" {
  if (cnf === undefined) return undefined;
  if (typeof cnf !== "object" || cnf === null) return "unknown";
  const { jkt, "x5t#S256": thumbprint, ...others } = cnf as { readonly [member: string]: unknown };
  if (Object.keys(others).length > 0 || (jkt === undefined && thumbprint === undefined)) return "unknown";
  if (jkt !== undefined && typeof jkt !== "string") return "unknown";
  if (thumbprint !== undefined && typeof thumbprint !== "string") return "unknown";
  return { ...(jkt !== undefined && { jkt }), ...(thumbprint !== undefined && { thumbprint }) };
}

export type PossessionDeps = {
  readonly audience: string;
  readonly clientSecret: string;
  readonly baseUrl?: string;
  readonly requireProofNonce?: boolean;
  readonly clock: Clock;
};

const maxProofLength = 8192;
/** Matches one JWT. Repeated headers are joined by a comma, and do not match. */
const compactJws = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/**
 * Creates the check of bound tokens. It returns the rejection, or undefined if the caller may use the token. Throws an
 * InvalidArgumentError for an invalid `baseUrl`.
 */
export function createPossession(deps: PossessionDeps) {
  const { audience, clientSecret, requireProofNonce = false, clock } = deps;
  const reject = createReject(audience);
  const base = readBase(deps.baseUrl);
  const nonces: DpopNonces | undefined = requireProofNonce
    ? createDpopNonces((period) =>
        // Every process of this API has the secret, so each accepts the nonces of the others.
        createHmac("sha256", clientSecret).update(`countersign/dpop-nonce ${period}`).digest("base64url"),
      )
    : undefined;

  return async (presented: PresentedToken, bound: Bound | undefined): Promise<Rejection | undefined> => {
    const { scheme, call } = presented;
    const isForKey = bound?.jkt !== undefined;
    if (isForKey !== (scheme === "DPoP")) {
      const wanted = isForKey ? "DPoP" : "Bearer";
      const description = `The token is ${isForKey ? "" : "not "}bound to a key: present it as ${wanted}`;
      return reject("wrong_scheme", { scheme: wanted, description });
    }
    if (bound?.thumbprint !== undefined && thumbprintOf(call?.clientCertificate?.()) !== bound.thumbprint)
      return reject("wrong_certificate", { scheme });
    return bound?.jkt === undefined ? undefined : await checkProof(presented, bound.jkt);
  };

  async function checkProof({ token, call }: PresentedToken, jkt: string): Promise<Rejection | undefined> {
    const invalid = (description: string) => reject("invalid_proof", { scheme: "DPoP", description });
    if (!call) return invalid("This API did not pass on the DPoP proof");
    const header = call.headers.get("dpop");
    if (header === null) return invalid("The DPoP proof is missing");
    const opened = await open(header);
    if (!opened) return invalid("The DPoP proof is not one JWT signed by the public key in its header");
    const request = {
      method: call.method,
      urls: [calledUrl(call.url, base)],
      accessTokenHash: hash("sha256", token, "base64url"),
    };
    const proof = readDpopProof(opened.protectedHeader, opened.payload, request, clock.now());
    if ("refused" in proof) return invalid(proofFaults[proof.refused]);
    if ((await calculateJwkThumbprint(opened.protectedHeader.jwk as JWK)) !== jkt)
      return invalid("The DPoP proof is signed by another key than that of the token");
    if (nonces && nonces.stateOf(proof.nonce, clock.now()) === "unknown")
      return reject("nonce_required", { scheme: "DPoP", nonce: nonces.current(clock.now()) });
    return undefined;
  }

  async function open(proof: string) {
    if (proof.length > maxProofLength || !compactJws.test(proof)) return undefined;
    try {
      const options = { algorithms: [...proofAlgorithms], currentDate: new Date(clock.now()) };
      return await jwtVerify(proof, EmbeddedJWK, options);
    } catch {
      return undefined;
    }
  }
}

function readBase(baseUrl: string | undefined): string | undefined {
  if (baseUrl === undefined) return undefined;
  if (comparableUrl(baseUrl) === undefined || /[?#]/.test(baseUrl))
    throw new InvalidArgumentError(`baseUrl must be an http: or https: URL without a query: ${baseUrl}`);
  return baseUrl.replace(/\/$/, "");
}

/** Returns the URL that the proof must name as `htu`. */
function calledUrl(url: string, base: string | undefined): string | undefined {
  const absolute = url.startsWith("/") ? `http://localhost${url}` : url;
  if (base === undefined) return comparableUrl(url);
  return URL.canParse(absolute) ? comparableUrl(base + new URL(absolute).pathname) : undefined;
}

/** Returns the SHA-256 of the DER encoding in base64url (RFC 8705 §3.1), or undefined without a valid certificate. */
function thumbprintOf(certificate: ClientCertificate | undefined): string | undefined {
  const der = typeof certificate === "string" ? decodeCertificate(certificate) : certificate;
  return der && der.length > 0 ? hash("sha256", der, "base64url") : undefined;
}

const pem = /^-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*$/;
const structured = /^:([A-Za-z0-9+/=]+):$/;

function decodeCertificate(text: string): Uint8Array | undefined {
  try {
    const plain = text.includes("%") ? decodeURIComponent(text) : text;
    const [, encoded] = pem.exec(plain.trim()) ?? structured.exec(plain.trim()) ?? [];
    return encoded === undefined ? undefined : Buffer.from(encoded, "base64");
  } catch {
    return undefined;
  }
}
