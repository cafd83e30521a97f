/**
 * Clients: the agent, which requests actions, and the API, which spends tokens. Records only; `http/oauth` authenticates
 * clients. Secrets are stored as a hash, or encrypted where an HMAC needs the secret.
 */
import type { JsonObject } from "@countersign/protocol";

/** Methods of client authentication (OpenID Connect Core §9, RFC 8705 §2). There are no public clients. */
export const authenticationMethods = [
  "client_secret_basic",
  "client_secret_post",
  "client_secret_jwt",
  "private_key_jwt",
  "tls_client_auth",
  "self_signed_tls_client_auth",
] as const;
export type AuthenticationMethod = (typeof authenticationMethods)[number];

/** Signature algorithms of assertions and request objects. */
export const signatureAlgorithms = ["ES256", "PS256", "RS256", "EdDSA", "Ed25519"] as const;
export type SignatureAlgorithm = (typeof signatureAlgorithms)[number];

/**
 * HMAC algorithms of `client_secret_jwt`. The key must be at least as long as the hash (RFC 7518 §3.2): a secret of 43
 * characters suffices for SHA-256, not for SHA-384. A longer hash adds no strength, as a secret has 256 bits.
 */
export const secretAlgorithms = ["HS256"] as const;

/** Kinds of names that identify a certificate of `tls_client_auth` (RFC 8705 §2.1.2). The whole name is compared. */
export const certificateNames = ["subject_dn", "san_dns", "san_uri", "san_ip", "san_email"] as const;
export type CertificateName = (typeof certificateNames)[number];

/** The credential of a client. Only the registered method is accepted. */
export type Credential =
  | { readonly method: "client_secret_basic" | "client_secret_post"; readonly secretHash: string }
  /** Encrypted under the root key: HMAC verification needs the secret. */
  | { readonly method: "client_secret_jwt"; readonly sealedSecret: string }
  /** Verified with one of the agent's `keys`. */
  | { readonly method: "private_key_jwt" | "self_signed_tls_client_auth" }
  | { readonly method: "tls_client_auth"; readonly name: CertificateName; readonly value: string };

/** An agent's public keys: part of its registration, or fetched from its `jwks_uri`. */
export type Keys =
  | { readonly from: "registration"; readonly jwks: readonly JsonObject[] }
  | { readonly from: "uri"; readonly uri: string };

export const deliveryModes = ["poll", "ping", "push"] as const;
export type DeliveryMode = (typeof deliveryModes)[number];

/** How the agent receives the result (CIBA §5). Fixed by the registration; a request cannot change it. */
export type Delivery =
  | { readonly mode: "poll" }
  | { readonly mode: "ping" | "push"; readonly endpoint: string };

export type Agent = {
  readonly id: string;
  /** The name on the card. Chosen by the operator, never by the agent. */
  readonly name: string;
  readonly credential: Credential;
  /** Keys of assertions, request objects and self-signed certificates. */
  readonly keys?: Keys;
  /** The only algorithm accepted for assertions (`token_endpoint_auth_signing_alg`). Default: any that fits a key. */
  readonly assertionAlgorithm?: string;
  readonly delivery: Delivery;
  /** Set if each authentication request must be signed, with this algorithm (CIBA §4, §7.1.1). */
  readonly requestAlgorithm?: string;
  /** True if requests may contain the approver's user code (CIBA §4). */
  readonly userCode: boolean;
  /** Set if tokens are bound to a key: a token is issued only with this proof of possession. */
  readonly binding?: "dpop" | "mtls";
  /** Action types that the agent may request. An action that is a scope is listed by its scope name. */
  readonly types: readonly string[];
  /** True if every request and redemption is refused until an operator resumes the agent. */
  readonly paused: boolean;
  readonly createdAt: number;
  /** How the agent was added. An agent from the configuration can only be changed in the configuration. */
  readonly source: "command" | "configuration" | "registration";
  /** Set if the agent registered itself (RFC 7592 §3). */
  readonly registration?: {
    /** SHA-256 of the registration access token, base64url. */
    readonly tokenHash: string;
    /** The action types that the initial access token allows; a superset of `types`. */
    readonly types: readonly string[];
  };
};

export type Api = {
  readonly id: string;
  /** The name of the API in the configuration. Only tokens with its audience can be spent. */
  readonly api: string;
  readonly secretHash: string;
  readonly createdAt: number;
};
