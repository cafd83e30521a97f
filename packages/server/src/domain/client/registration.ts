/**
 * Validates client metadata and reads an agent's registration from it (RFC 7591 §2, CIBA §4, RFC 8705 §2.1.2, RFC 9449
 * §5.2, RFC 9396 §10). Used for agents of the command line, of the configuration, and for dynamic registration. A change
 * submits the whole metadata too, so that rules across members always apply. Known members with an unsupported value are
 * refused; unknown members are ignored (RFC 7591 §2).
 */
import { cibaGrantType, type Json, type JsonObject } from "@countersign/protocol";
import type { ActionPolicy } from "../action/action-type.ts";
import { findPushFault } from "../callback/callback.ts";
import { checkOutboundUrl, type OutboundPolicy } from "../url/outbound-url.ts";
import { isCertificateValue } from "./certificate-name.ts";
import {
  type Agent,
  type AuthenticationMethod,
  authenticationMethods,
  type CertificateName,
  certificateNames,
  type Delivery,
  deliveryModes,
  type Keys,
  secretAlgorithms,
  signatureAlgorithms,
} from "./client.ts";
import type { AddProblem, MetadataProblem } from "./problem.ts";
import { parseJwks, supportsAlgorithm } from "./public-key.ts";
import { readTypes } from "./type-metadata.ts";

export type ClientMetadata = JsonObject;

/** The registered method of client authentication. The use case that adds the agent generates the secret, if any. */
export type ClientAuthMethod =
  | { readonly method: "client_secret_basic" | "client_secret_post" | "client_secret_jwt" }
  | { readonly method: "private_key_jwt" | "self_signed_tls_client_auth" }
  | { readonly method: "tls_client_auth"; readonly name: CertificateName; readonly value: string };

export type Registration = Pick<
  Agent,
  "keys" | "assertionAlgorithm" | "delivery" | "requestAlgorithm" | "userCode" | "binding" | "types"
> & { readonly authMethod: ClientAuthMethod };

/** What a registration may contain. */
export type RegistrationPolicy = {
  /** The action types that may be registered. */
  readonly types: ReadonlyMap<string, ActionPolicy>;
  /** The limits for its URLs. */
  readonly outbound: OutboundPolicy;
  /** The authentication methods that this server supports. */
  readonly methods: readonly AuthenticationMethod[];
};

/** The supported members, without the name and the action types. */
export const registrationMembers = [
  "token_endpoint_auth_method",
  "token_endpoint_auth_signing_alg",
  "jwks",
  "jwks_uri",
  "tls_client_auth_subject_dn",
  "tls_client_auth_san_dns",
  "tls_client_auth_san_uri",
  "tls_client_auth_san_ip",
  "tls_client_auth_san_email",
  "backchannel_token_delivery_mode",
  "backchannel_client_notification_endpoint",
  "backchannel_authentication_request_signing_alg",
  "backchannel_user_code_parameter",
  "dpop_bound_access_tokens",
  "tls_client_certificate_bound_access_tokens",
] as const;

/** Reads a registration. Returns every problem of the metadata at once. */
export function readRegistration(
  metadata: ClientMetadata,
  { types: allowed, outbound, methods }: RegistrationPolicy,
): Registration | { readonly problems: readonly MetadataProblem[] } {
  const problems: MetadataProblem[] = [];
  const addProblem: AddProblem = (member, message, remedy) => problems.push({ member, message, remedy });
  rejectUnsupported(metadata, addProblem);
  const keys = readKeySource(metadata, outbound, addProblem);
  const authMethod = readClientAuthMethod(metadata, methods, addProblem);
  const assertionAlgorithm = readAssertionAlgorithm(metadata, authMethod.method, addProblem);
  const delivery = readDelivery(metadata, outbound, addProblem);
  const request = "backchannel_authentication_request_signing_alg";
  const requestAlgorithm = readEnum(metadata, request, signatureAlgorithms, addProblem);
  const userCode = readBoolean(metadata, "backchannel_user_code_parameter", addProblem);
  const binding = readBinding(metadata, methods, addProblem);
  const types = readTypes(metadata, allowed, addProblem);
  if (authMethod.method === "private_key_jwt")
    requireKey(keys, assertionAlgorithm, "token_endpoint_auth_method", addProblem);
  if (requestAlgorithm) requireKey(keys, requestAlgorithm, request, addProblem);
  if (authMethod.method === "self_signed_tls_client_auth" && !keys)
    addProblem(
      "token_endpoint_auth_method",
      `${authMethod.method} needs the key of its certificate`,
      "give jwks or jwks_uri",
    );
  if (delivery.mode === "push") checkPush(binding, types, allowed, addProblem);
  if (problems.length > 0) return { problems };
  return {
    authMethod,
    delivery,
    userCode,
    types,
    ...(keys && { keys }),
    ...(assertionAlgorithm !== undefined && { assertionAlgorithm }),
    ...(requestAlgorithm !== undefined && { requestAlgorithm }),
    ...(binding && { binding }),
  };
}

/** Refuses values that require another grant type or an unsupported feature. */
function rejectUnsupported(metadata: ClientMetadata, addProblem: AddProblem): void {
  const { grant_types: grants, redirect_uris: redirects, response_types: responses } = metadata;
  if (grants !== undefined && !(isStringArray(grants) && grants.includes(cibaGrantType)))
    addProblem(
      "grant_types",
      `only the grant type ${cibaGrantType} is supported`,
      "name it, or leave grant_types out",
    );
  // CIBA has no redirects. Client libraries send these by default; they are checked and not registered.
  if (redirects !== undefined && !isStringArray(redirects))
    addProblem("redirect_uris", "this is not a list of URIs", "leave it out: CIBA has no redirects");
  if (responses !== undefined && !isStringArray(responses))
    addProblem("response_types", "this is not a list", "leave it out: CIBA has no response types");
  if (metadata.software_statement !== undefined)
    addProblem("software_statement", "software_statement is not supported", "leave it out");
  const { subject_type: subject, id_token_signed_response_alg: algorithm } = metadata;
  if (subject !== undefined && subject !== "public")
    addProblem("subject_type", "only subject_type public is supported", "leave it out, or write public");
  if (algorithm !== undefined && algorithm !== "ES256")
    addProblem(
      "id_token_signed_response_alg",
      "ID tokens are signed with ES256",
      "leave it out, or write ES256",
    );
  for (const member of ["id_token_encrypted_response_alg", "request_object_encryption_alg"])
    if (metadata[member] !== undefined)
      addProblem(member, "encrypted responses are not supported", "leave it out");
}

function readKeySource(
  { jwks, jwks_uri: uri }: ClientMetadata,
  outbound: OutboundPolicy,
  addProblem: AddProblem,
): Keys | undefined {
  if (jwks !== undefined && uri !== undefined) {
    addProblem("jwks", "jwks and jwks_uri exclude each other", "remove one");
    return undefined;
  }
  if (jwks !== undefined) {
    const read = parseJwks(jwks);
    if ("keys" in read) return { from: "registration", jwks: read.keys };
    addProblem(
      "jwks",
      read.why,
      "give a JWK Set of public keys: EC P-256, Ed25519, or RSA of 2048 bits at least",
    );
  }
  if (uri === undefined) return undefined;
  const url = readUrl(uri, "jwks_uri", outbound, addProblem);
  return url === undefined ? undefined : { from: "uri", uri: url };
}

function readClientAuthMethod(
  metadata: ClientMetadata,
  supportedMethods: RegistrationPolicy["methods"],
  addProblem: AddProblem,
): ClientAuthMethod {
  const member = "token_endpoint_auth_method";
  const method =
    readEnum<AuthenticationMethod>(metadata, member, authenticationMethods, addProblem) ??
    "client_secret_basic";
  if (!supportedMethods.includes(method))
    addProblem(member, `${method} ${noCertificates}`, "use another; mtls is configured by the operator");
  const names = certificateNames.filter((name) => metadata[`tls_client_auth_${name}`] !== undefined);
  if (method !== "tls_client_auth") {
    for (const name of names)
      addProblem(`tls_client_auth_${name}`, `this is for tls_client_auth, not for ${method}`, "leave it out");
    return { method };
  }
  const [name, ...others] = names;
  // RFC 8705 §2.1.2: exactly one name.
  if (name === undefined || others.length > 0) {
    addProblem(
      member,
      `tls_client_auth needs ${name === undefined ? "the name in" : "exactly one name of"} its certificate`,
      `give one of ${certificateNames.map((kind) => `tls_client_auth_${kind}`).join(", ")}`,
    );
    return { method, name: "subject_dn", value: "" };
  }
  const value = metadata[`tls_client_auth_${name}`];
  if (typeof value === "string" && isCertificateValue(name, value)) return { method, name, value };
  addProblem(`tls_client_auth_${name}`, "not a valid name of this kind", "copy it from the certificate");
  return { method, name, value: "" };
}

function readAssertionAlgorithm(
  metadata: ClientMetadata,
  method: AuthenticationMethod,
  addProblem: AddProblem,
): string | undefined {
  const member = "token_endpoint_auth_signing_alg";
  if (metadata[member] === undefined) return undefined;
  if (method === "private_key_jwt") return readEnum(metadata, member, signatureAlgorithms, addProblem);
  if (method === "client_secret_jwt") return readEnum(metadata, member, secretAlgorithms, addProblem);
  addProblem(member, `${method} has no signature`, "leave it out");
  return undefined;
}

function readDelivery(metadata: ClientMetadata, outbound: OutboundPolicy, addProblem: AddProblem): Delivery {
  const mode = readEnum(metadata, "backchannel_token_delivery_mode", deliveryModes, addProblem) ?? "poll";
  const member = "backchannel_client_notification_endpoint";
  const value = metadata[member];
  if (mode === "poll") {
    if (value !== undefined)
      addProblem(
        member,
        "an agent with poll delivery has no notification endpoint",
        "leave it out, or use ping",
      );
    return { mode };
  }
  if (value === undefined) addProblem(member, `${mode} needs an endpoint to call`, "give its https URL");
  const endpoint = value === undefined ? undefined : readUrl(value, member, outbound, addProblem);
  return { mode, endpoint: endpoint ?? "" };
}

const noCertificates = "needs client certificates, which this server does not receive";

function readBinding(
  metadata: ClientMetadata,
  supportedMethods: RegistrationPolicy["methods"],
  addProblem: AddProblem,
): Agent["binding"] {
  const dpop = readBoolean(metadata, "dpop_bound_access_tokens", addProblem);
  const member = "tls_client_certificate_bound_access_tokens";
  const mtls = readBoolean(metadata, member, addProblem);
  if (mtls && !supportedMethods.includes("self_signed_tls_client_auth"))
    addProblem(member, `this ${noCertificates}`, "bind by DPoP; mtls is configured by the operator");
  if (dpop && mtls)
    addProblem("dpop_bound_access_tokens", "a token is bound to one key, by DPoP or by mTLS", "choose one");
  if (dpop) return "dpop";
  return mtls ? "mtls" : undefined;
}

function checkPush(
  binding: Agent["binding"],
  types: readonly string[],
  allowed: RegistrationPolicy["types"],
  addProblem: AddProblem,
): void {
  const member = "backchannel_token_delivery_mode";
  const fault = findPushFault(
    { binding },
    types.flatMap((type) => allowed.get(type)?.definition ?? []),
  );
  if (fault !== undefined) addProblem(member, fault, "use ping or poll");
}

/** Requires a key for signatures of this algorithm. Keys behind a `jwks_uri` are fetched, and checked, when first used. */
function requireKey(
  keys: Keys | undefined,
  algorithm: string | undefined,
  member: string,
  addProblem: AddProblem,
): void {
  if (!keys) addProblem(member, "this needs the agent's public keys", "give jwks or jwks_uri");
  if (keys?.from !== "registration") return;
  const algorithms = signatureAlgorithms.filter((name) => algorithm === undefined || name === algorithm);
  if (!keys.jwks.some((jwk) => algorithms.some((name) => supportsAlgorithm(jwk, name))))
    addProblem(
      "jwks",
      `contains no key for signatures with ${algorithms.join(", ")}`,
      "add one, or choose another algorithm",
    );
}

function readUrl(
  value: Json,
  member: string,
  outbound: OutboundPolicy,
  addProblem: AddProblem,
): string | undefined {
  const checked = checkOutboundUrl(typeof value === "string" ? value : "", outbound);
  if (!("refused" in checked)) return value as string;
  addProblem(member, `the URL cannot be used: ${checked.why}`, "give an https URL at a public address");
  return undefined;
}

function readEnum<T extends string>(
  metadata: ClientMetadata,
  member: string,
  values: readonly T[],
  addProblem: AddProblem,
): T | undefined {
  const value = metadata[member];
  if (value === undefined) return undefined;
  const found = values.find((allowed) => allowed === value);
  if (found === undefined) addProblem(member, "invalid value", `use ${joinWithOr(values)}`);
  return found;
}

function readBoolean(metadata: ClientMetadata, member: string, addProblem: AddProblem): boolean {
  const value = metadata[member];
  if (value !== undefined && typeof value !== "boolean")
    addProblem(member, "not a boolean", "write true or false");
  return value === true;
}

function joinWithOr(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

function isStringArray(value: Json): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
