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
const webauthn = () => import("@simplewebauthn/server");

const bytes = (base64url: string) => new Uint8Array(Buffer.from(base64url, "base64url"));

/** Options for `navigator.credentials.create`: a discoverable, user-verifying key that this approver has not got yet. */
export async function creationOptions(
  relyingParty: RelyingParty,
  approver: Approver,
  known: readonly Device[],
  challenge: string,
): Promise<CreationOptions> {
  const options = await (await webauthn()).generateRegistrationOptions({
    rpID: relyingParty.rpId,
    rpName: relyingParty.rpName,
    userID: new Uint8Array(Buffer.from(approver.id)),
    userName: approver.email,
    userDisplayName: approver.name,
    challenge: bytes(challenge),
    attestationType: "none",
    excludeCredentials: known.map(({ id }) => ({ id })),
    authenticatorSelection: { residentKey: "required", userVerification: "required" },
  });
  return options as CreationOptions;
}

/** Options for `navigator.credentials.get`. Without devices the browser offers whatever it holds for this site. */
export async function requestOptions(
  relyingParty: RelyingParty,
  devices: readonly Device[],
  challenge: string,
): Promise<RequestOptions> {
  const options = await (await webauthn()).generateAuthenticationOptions({
    rpID: relyingParty.rpId,
    challenge: bytes(challenge),
    userVerification: "required",
    ...(devices.length > 0 && {
      allowCredentials: devices.map(({ id, transports }) => ({ id, transports: [...transports] })),
    }),
  });
  return options as RequestOptions;
}

/** The new device that an attestation proves, or undefined where it proves nothing. */
export async function readAttestation(
  relyingParty: RelyingParty,
  attestation: Attestation,
  challenge: string,
): Promise<Pick<Device, "id" | "publicKey" | "counter" | "transports"> | undefined> {
  const verified = await (await webauthn())
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
function readTransports(said: unknown): string[] {
  const listed: readonly unknown[] = Array.isArray(said) ? said.slice(0, 10) : [];
  return listed.filter((one): one is string => typeof one === "string" && /^[a-z-]{1,20}$/.test(one));
}

/** The device's new signature counter if the assertion answers this challenge with this device's key. */
export async function readAssertion(
  relyingParty: RelyingParty,
  assertion: Assertion,
  challenge: string,
  device: Pick<Device, "id" | "publicKey" | "counter">,
): Promise<number | undefined> {
  const verified = await (await webauthn())
    .verifyAuthenticationResponse({
      response: assertion,
      expectedChallenge: challenge,
      expectedOrigin: relyingParty.origin,
      expectedRPID: relyingParty.rpId,
      requireUserVerification: true,
      credential: { id: device.id, publicKey: bytes(device.publicKey), counter: device.counter },
    })
    .catch(() => undefined);
  return verified?.verified ? verified.authenticationInfo.newCounter : undefined;
}

/** A browser's answer as a form carries it. Only its outline is looked at here; what it proves is checked above. */
export function parseAnswer<T extends Assertion | Attestation>(text: string | undefined): T | undefined {
  if (text === undefined) return undefined;
  try {
    const answer: unknown = JSON.parse(text);
    const outlined = typeof answer === "object" && answer !== null && "id" in answer && "response" in answer;
    return outlined && typeof answer.id === "string" ? (answer as unknown as T) : undefined;
  } catch {
    return undefined;
  }
}
