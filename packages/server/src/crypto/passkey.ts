/**
 * Passkeys (WebAuthn): creates options for the browser and verifies its responses. Origin and `rpId` come from the
 * configuration, never from the request; user verification is always required. Stateless: the use cases store challenges and
 * accept each once.
 */
import type { AuthenticationResponseJSON, RegistrationResponseJSON } from "@simplewebauthn/server";
import type { Approver, Device } from "../domain/people/approver.ts";

export type RelyingParty = { readonly origin: string; readonly rpId: string; readonly rpName: string };
/** Responses of a browser, unverified. */
export type Assertion = AuthenticationResponseJSON;
export type Attestation = RegistrationResponseJSON;
/** Options for a browser, in WebAuthn's JSON form. */
export type CreationOptions = PublicKeyCredentialCreationOptionsJSON;
export type RequestOptions = PublicKeyCredentialRequestOptionsJSON;

/** Loaded on first use: loading it at the start would double the start time. */
const loadWebAuthn = () => import("@simplewebauthn/server");

const decodeBase64Url = (base64url: string) => new Uint8Array(Buffer.from(base64url, "base64url"));

/** Returns options for `navigator.credentials.create`: discoverable, user verification required, existing keys excluded. */
export async function createPasskeyCreationOptions(
  relyingParty: RelyingParty,
  approver: Approver,
  existing: readonly Device[],
  challenge: string,
): Promise<CreationOptions> {
  const options = await (await loadWebAuthn()).generateRegistrationOptions({
    rpID: relyingParty.rpId,
    rpName: relyingParty.rpName,
    userID: new Uint8Array(Buffer.from(approver.id)),
    userName: approver.email,
    userDisplayName: approver.name,
    challenge: decodeBase64Url(challenge),
    attestationType: "none",
    excludeCredentials: existing.map(({ id }) => ({ id })),
    authenticatorSelection: { residentKey: "required", userVerification: "required" },
  });
  return options as CreationOptions;
}

/** Returns options for `navigator.credentials.get`. With no devices, the browser offers all its passkeys for the site. */
export async function createPasskeyRequestOptions(
  relyingParty: RelyingParty,
  devices: readonly Device[],
  challenge: string,
): Promise<RequestOptions> {
  const options = await (await loadWebAuthn()).generateAuthenticationOptions({
    rpID: relyingParty.rpId,
    challenge: decodeBase64Url(challenge),
    userVerification: "required",
    ...(devices.length > 0 && {
      allowCredentials: devices.map(({ id, transports }) => ({ id, transports: [...transports] })),
    }),
  });
  return options as RequestOptions;
}

/** Verifies an attestation. Returns the new device's key, or undefined if verification fails. */
export async function verifyPasskeyAttestation(
  relyingParty: RelyingParty,
  attestation: Attestation,
  challenge: string,
): Promise<Pick<Device, "id" | "publicKey" | "counter" | "transports"> | undefined> {
  const verified = await (await loadWebAuthn())
    .verifyRegistrationResponse({
      response: attestation,
      expectedChallenge: challenge,
      expectedOrigin: relyingParty.origin,
      expectedRPID: relyingParty.rpId,
      requireUserVerification: true,
    })
    .catch(() => undefined);
  if (!verified?.verified) return undefined;
  const { credential } = verified.registrationInfo;
  return {
    id: credential.id,
    publicKey: Buffer.from(credential.publicKey).toString("base64url"),
    counter: credential.counter,
    transports: readTransports(credential.transports),
  };
}

/** Returns at most 10 well-formed transport names. They are unsigned, so page scripts may have changed them. */
function readTransports(reported: unknown): string[] {
  const items: readonly unknown[] = Array.isArray(reported) ? reported.slice(0, 10) : [];
  return items.filter((one): one is string => typeof one === "string" && /^[a-z-]{1,20}$/.test(one));
}

/** Verifies an assertion by this device for this challenge. Returns the new signature counter; undefined if it fails. */
export async function verifyPasskeyAssertion(
  relyingParty: RelyingParty,
  assertion: Assertion,
  challenge: string,
  device: Pick<Device, "id" | "publicKey" | "counter">,
): Promise<number | undefined> {
  const verified = await (await loadWebAuthn())
    .verifyAuthenticationResponse({
      response: assertion,
      expectedChallenge: challenge,
      expectedOrigin: relyingParty.origin,
      expectedRPID: relyingParty.rpId,
      requireUserVerification: true,
      credential: { id: device.id, publicKey: decodeBase64Url(device.publicKey), counter: device.counter },
    })
    .catch(() => undefined);
  return verified?.verified ? verified.authenticationInfo.newCounter : undefined;
}

/** Parses the response in a form field. Checks only its outline; `verify…` checks its content. */
export function parsePasskeyResponse<T extends Assertion | Attestation>(
  text: string | undefined,
): T | undefined {
  if (text === undefined) return undefined;
  try {
    const response: unknown = JSON.parse(text);
    const isWellFormed =
      typeof response === "object" && response !== null && "id" in response && "response" in response;
    return isWellFormed && typeof response.id === "string" ? (response as unknown as T) : undefined;
  } catch {
    return undefined;
  }
}
