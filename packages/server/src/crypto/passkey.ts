/**
 * Passkeys: what the browser is asked for, and whether its answer proves anything. Origin and `rpId` come from the
 * configuration, never from the request; user verification is always required. No state: challenges are kept, and
 * used once, by the operations.
 */
import type { AuthenticationResponseJSON, RegistrationResponseJSON } from "@simplewebauthn/server";
import type { Approver, Device } from "../domain/people/approver.ts";

export type RelyingParty = { readonly origin: string; readonly rpId: string; readonly rpName: string };
/** What a browser sent, unverified. */
export type Assertion = AuthenticationResponseJSON;
export type Attestation = RegistrationResponseJSON;
/** What a browser is asked, as WebAuthn spells it in JSON. */
export type CreationOptions = PublicKeyCredentialCreationOptionsJSON;
export type RequestOptions = PublicKeyCredentialRequestOptionsJSON;

/** Loaded when the first passkey is used: half of what starting the server would otherwise cost. */
const loadWebAuthn = () => import("@simplewebauthn/server");

const decodeBase64Url = (base64url: string) => new Uint8Array(Buffer.from(base64url, "base64url"));

/** Options for `navigator.credentials.create`: a discoverable, user-verifying key that this approver has not got yet. */
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

/** Options for `navigator.credentials.get`. Without devices the browser offers whatever it holds for this site. */
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

/** The new device that an attestation proves, or undefined where it proves nothing. */
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

/** How the browser says that its key can be reached: not signed, and whatever a script wrote there. */
function readTransports(reported: unknown): string[] {
  const items: readonly unknown[] = Array.isArray(reported) ? reported.slice(0, 10) : [];
  return items.filter((one): one is string => typeof one === "string" && /^[a-z-]{1,20}$/.test(one));
}

/** The device's new signature counter if the assertion answers this challenge with this device's key. */
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

/** A browser's answer as a form carries it. Only its outline is looked at here; what it proves is checked above. */
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
