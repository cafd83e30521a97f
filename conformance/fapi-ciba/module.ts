/**
 * The modules of the official suite's plan `fapi-ciba-id1-test-plan`, profile `plain_fapi`, by the suite's names, and the
 * variants that run each. `run-plan.ts` implements them.
 */

export type Variant = {
  /** `client_auth_type` */
  readonly auth: "private_key_jwt" | "mtls";
  /** `ciba_mode` */
  readonly mode: "poll" | "ping";
  /** Signature algorithm of the clients' keys. */
  readonly algorithm: "PS256" | "ES256";
};

/** Variants that run the module; all by default. */
export const modules = {
  "fapi-ciba-id1-discovery-end-point-verification": {},
  "fapi-ciba-id1": {},
  "fapi-ciba-id1-user-rejects-authentication": {},
  "fapi-ciba-id1-multiple-call-to-token-endpoint": {},
  "fapi-ciba-id1-auth-req-id-expired": {},
  "fapi-ciba-id1-ensure-authorization-request-with-binding-message-succeeds": {},
  "fapi-ciba-id1-ensure-other-scope-order-succeeds": {},
  "fapi-ciba-id1-ensure-requested-expiry-as-string-succeeds": {},
  "fapi-ciba-id1-ensure-authorization-request-with-potentially-bad-binding-message": {},
  "fapi-ciba-id1-ensure-request-object-missing-aud-fails": {},
  "fapi-ciba-id1-ensure-request-object-bad-aud-fails": {},
  "fapi-ciba-id1-ensure-request-object-missing-iss-fails": {},
  "fapi-ciba-id1-ensure-request-object-bad-iss-fails": {},
  "fapi-ciba-id1-ensure-request-object-missing-exp-fails": {},
  "fapi-ciba-id1-ensure-request-object-expired-exp-fails": {},
  "fapi-ciba-id1-ensure-request-object-exp-is-70-minutes-in-future-fails": {},
  "fapi-ciba-id1-ensure-request-object-missing-iat-fails": {},
  "fapi-ciba-id1-ensure-request-object-missing-nbf-fails": {},
  "fapi-ciba-id1-ensure-request-object-nbf-is-10-minutes-in-future-fails": {},
  "fapi-ciba-id1-ensure-request-object-nbf-is-70-minutes-in-past-fails": {},
  "fapi-ciba-id1-ensure-request-object-missing-jti-fails": {},
  "fapi-ciba-id1-ensure-request-object-signature-algorithm-is-none-fails": {},
  "fapi-ciba-id1-ensure-request-object-signature-algorithm-is-bad-fails": {},
  "fapi-ciba-id1-ensure-request-object-signature-algorithm-is-RS256-fails": { algorithm: "PS256" },
  "fapi-ciba-id1-ensure-request-object-signed-by-other-client-fails": {},
  "fapi-ciba-id1-ensure-authorization-request-with-multiple-hints-fails": {},
  "fapi-ciba-id1-ensure-wrong-auth-req-id-in-token-endpoint-request": {},
  "fapi-ciba-id1-ensure-different-client-id-and-issuer-in-backchannel-authorization-request": {
    auth: "mtls",
  },
  "fapi-ciba-id1-ensure-wrong-client-id-in-token-endpoint-request": { auth: "mtls" },
  "fapi-ciba-id1-ensure-wrong-client-id-in-backchannel-authorization-request": { auth: "mtls" },
  "fapi-ciba-id1-ensure-without-client-assertion-in-token-endpoint-request": { auth: "private_key_jwt" },
  "fapi-ciba-id1-ensure-without-client-assertion-in-backchannel-authorization-request": {
    auth: "private_key_jwt",
  },
  "fapi-ciba-id1-ensure-client-assertion-signature-algorithm-in-backchannel-authorization-request-is-RS256-fails":
    {
      auth: "private_key_jwt",
      algorithm: "PS256",
    },
  "fapi-ciba-id1-ensure-client-assertion-signature-algorithm-in-token-endpoint-request-is-RS256-fails": {
    auth: "private_key_jwt",
    algorithm: "PS256",
  },
  "fapi-ciba-id1-ensure-client-assertion-with-iss-aud-to-token-endpoint-succeeds": {
    auth: "private_key_jwt",
  },
  "fapi-ciba-id1-ping-backchannel-notification-endpoint-response-has-body": { mode: "ping" },
  "fapi-ciba-id1-ping-backchannel-notification-endpoint-response-401": { mode: "ping" },
  "fapi-ciba-id1-ping-backchannel-notification-endpoint-response-403": { mode: "ping" },
  "fapi-ciba-id1-ping-with-mtls-ciba-notification-endpoint-response-401-and-require-server-does-not-retry": {
    mode: "ping",
  },
  "fapi-ciba-id1-ping-backchannel-notification-endpoint-return-redirect-request": { mode: "ping" },
  "fapi-ciba-id1-ensure-unsigned-backchannel-authorization-request-fails": {},
  "fapi-ciba-id1-refresh-token": {},
  "fapi-ciba-id1-ensure-mtls-holder-of-key-required": {},
} as const satisfies Readonly<Record<string, Partial<Variant>>>;

export type Module = keyof typeof modules;

export function modulesOf(variant: Variant): readonly Module[] {
  return (Object.keys(modules) as Module[]).filter((name) =>
    Object.entries(modules[name]).every(([key, value]) => variant[key as keyof Variant] === value),
  );
}

/**
 * A separate scope for each module. This server joins a repeated action to its pending request, and a denied action stays
 * denied, whereas the suite starts a new request in each module.
 */
export function scopeOf(name: Module): string {
  return `suite.${Object.keys(modules).indexOf(name) + 1}`;
}
