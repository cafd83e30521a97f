/** Sign-in with a passkey (WebAuthn): the browser offers the passkeys that it holds for this site. */
import { html } from "hono/html";
import {
  type Assertion,
  createPasskeyRequestOptions,
  parsePasskeyResponse,
  type RelyingParty,
  type RequestOptions,
  verifyPasskeyAssertion,
} from "../../crypto/passkey.ts";
import type { Mac } from "../../crypto/root-key.ts";
import type { Directory } from "../../directory/directory.ts";
import { passkeyAuthentication } from "../../domain/policy/level.ts";
import { fingerprintIcon } from "../../page/icon.ts";
import type { SignInForm } from "../../page/sign-in.ts";
import type { Store } from "../../store/store.ts";
import {
  beginCeremony,
  ceremonyMs,
  computeChallenge,
  finishCeremony,
} from "../../usecase/people/ceremony.ts";
import type { SignInMethod, SignInRefused, VerifiedSignIn } from "../sign-in-method.ts";

export type PasskeySignInDeps = {
  readonly store: Store;
  readonly directory: Directory;
  readonly relyingParty: RelyingParty;
  readonly ceremonies: Mac;
};

export function createPasskeySignIn(deps: PasskeySignInDeps): SignInMethod {
  return {
    name: passkeyAuthentication.method,
    begin: () => begin(deps),
    finish: (fields) => finish(deps, fields),
    failureText: "This passkey could not be verified, or the page was open for too long. Please try again.",
  };
}

async function begin({ store, relyingParty, ceremonies }: PasskeySignInDeps): Promise<SignInForm> {
  const token = beginCeremony(ceremonies, store.now() + ceremonyMs, "sign-in");
  const options = await createPasskeyRequestOptions(relyingParty, [], computeChallenge(token));
  return buildPasskeyForm(token, options);
}

/** Builds the form: `passkey.js` passes the options to the browser and fills in `assertion`. */
export function buildPasskeyForm(ceremony: string, options: RequestOptions): SignInForm {
  return {
    data: { passkey: "get", options: JSON.stringify(options) },
    hidden: { ceremony, assertion: "" },
    controls: html`<button class="verdict" disabled>${fingerprintIcon}Use my passkey</button>
<p class="hint" data-ready="No passkey on this device? Ask your operator for an invitation.">Passkeys need JavaScript. Please allow it for this site.</p>`,
    scripts: ["passkey.js"],
  };
}

async function finish(
  { store, directory, relyingParty, ceremonies }: PasskeySignInDeps,
  fields: ReadonlyMap<string, string>,
): Promise<VerifiedSignIn | SignInRefused> {
  const assertion = parsePasskeyResponse<Assertion>(fields.get("assertion"));
  if (!assertion) return { refused: "rejected" };
  const ceremony = fields.get("ceremony") ?? "";
  const now = store.now();
  const usedCeremony = finishCeremony(ceremonies, ceremony, now, "sign-in");
  const device = await store.read("device", assertion.id);
  const approver = device && (await directory.findById(device.record.approver));
  if (!usedCeremony || !device || !approver?.active) return { refused: "rejected" };
  const challenge = computeChallenge(ceremony);
  const counter = await verifyPasskeyAssertion(relyingParty, assertion, challenge, device.record);
  if (counter === undefined) return { refused: "rejected" };
  const { id, test } = device.record;
  return {
    authentication: {
      ...passkeyAuthentication,
      approver: approver.record,
      authenticatedAt: now,
      device: id,
      ...(test && { test }),
    },
    writes: [
      usedCeremony,
      { put: "device", record: { ...device.record, counter }, ifVersion: device.version },
    ],
    facts: { credential: id, ...(test && { test }) },
  };
}
