/**
 * Those who call the server with credentials of their own: the agent, which asks, and the API, which spends.
 * Pure values; proving that a caller is one of them is `http/client-authentication.ts`. Nothing here ever holds a secret in clear.
 */
import type { JsonObject } from "@countersign/protocol";

/** How an agent can prove itself (OpenID Connect Core §9, RFC 8705 §2). There are no public clients. */
export const authenticationMethods = [
  "client_secret_basic",
  "client_secret_post",
  "client_secret_jwt",
  "private_key_jwt",
  "tls_client_auth",
  "self_signed_tls_client_auth",
] as const;
export type AuthenticationMethod = (typeof authenticationMethods)[number];

/** What agents sign their assertions and request objects with. */
export const signatureAlgorithms = ["ES256", "PS256", "RS256", "EdDSA", "Ed25519"] as const;
export type SignatureAlgorithm = (typeof signatureAlgorithms)[number];

/**
 * An HMAC's key must be as long as its hash (RFC 7518 §3.2), and our secrets have 43 characters: enough for this one, and
 * for no longer one. Nor would a longer one be stronger: a secret has 256 bits.
 */
export const secretAlgorithms = ["HS256"] as const;

/** What a certificate of `tls_client_auth` must say of its owner (RFC 8705 §2.1.2): one of these, compared whole. */
export const certificateNames = ["subject_dn", "san_dns", "san_uri", "san_ip", "san_email"] as const;
export type CertificateName = (typeof certificateNames)[number];

/** How a client proves itself, and only so: the registered method is the one accepted. */
export type Credential =
  | { readonly method: "client_secret_basic" | "client_secret_post"; readonly secretHash: string }
  /** Encrypted under the key from outside the database: an HMAC needs the secret itself. */
  | { readonly method: "client_secret_jwt"; readonly sealedSecret: string }
  /** By one of the agent's `keys`. */
  | { readonly method: "private_key_jwt" | "self_signed_tls_client_auth" }
  | { readonly method: "tls_client_auth"; readonly name: CertificateName; readonly value: string };

/** An agent's public keys: registered with it, or fetched from where it publishes them. */
export type Keys =
  | { readonly from: "registration"; readonly jwks: readonly JsonObject[] }
  | { readonly from: "uri"; readonly uri: string };

export const deliveryModes = ["poll", "ping", "push"] as const;
export type DeliveryMode = (typeof deliveryModes)[number];

/** How it learns of an answer (CIBA §5). A property of registration, never of a request. */
export type Delivery =
  | { readonly mode: "poll" }
  | { readonly mode: "ping" | "push"; readonly endpoint: string };

export type Agent = {
  readonly id: string;
  /** What the card calls it. Chosen by the operator, never by the agent. */
  readonly name: string;
  readonly credential: Credential;
  /** Of its assertions, its request objects and its self-signed certificates. */
  readonly keys?: Keys;
  /** The one algorithm of its assertions, where it was registered for one (`token_endpoint_auth_signing_alg`). */
  readonly assertionAlgorithm?: string;
  readonly delivery: Delivery;
  /** Set: each of its asks is signed with this algorithm (CIBA §4, §7.1.1). Not set: none is. */
  readonly requestAlgorithm?: string;
  /** Whether it sends the approver's user code along (CIBA §4). */
  readonly userCode: boolean;
  /** Set: its tokens are bound to a key that it proves so, and without the proof there is none. */
  readonly binding?: "dpop" | "mtls";
  /** Action types it may ask for (scopes that are actions are listed by their scope name). */
  readonly types: readonly string[];
  /** Paused: everything it asks or redeems is refused until a person resumes it. */
  readonly paused: boolean;
  readonly createdAt: number;
  /** How it came in. What the configuration declares, only the configuration changes. */
  readonly source: "command" | "configuration" | "registration";
  /** Set where it registered itself (RFC 7592 §3). */
  readonly registration?: {
    /** base64url SHA-256 of its registration access token. */
    readonly tokenHash: string;
    /** The action types that it was allowed; those that it has are among them. */
    readonly types: readonly string[];
  };
};

export type Api = {
  readonly id: string;
  /** The name of the API in the configuration, whose audience it may spend tokens of. */
  readonly api: string;
  readonly secretHash: string;
  readonly createdAt: number;
};
