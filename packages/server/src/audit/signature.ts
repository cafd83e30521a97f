/**
 * Verifies what was shown and signed: the text of the card against the hash in `request.created`, and the passkey signature
 * against the challenge that is computed from request, digest, card, verdict, approver and nonce.
 */
import {
  decisionChallenge,
  type Entry,
  hashJson,
  isObject,
  type JsonObject,
  parseJson,
} from "@countersign/protocol";
import { verifyPasskeyAssertion } from "../crypto/passkey.ts";
import type { LoggedDevice } from "./check/log-state.ts";
import type { Texts } from "./parse-entry.ts";
import { quote } from "./problem.ts";

/** Returns the card of a `request.created`, or what is wrong with it; undefined if its text was erased. */
export function readCard(entry: Entry, texts: Texts): { card: JsonObject } | { wrong: string } | undefined {
  if (texts.card === undefined) return undefined;
  const parsed = parseJson(texts.card.text);
  if ("refused" in parsed || !isObject(parsed.value)) return { wrong: "the text of the card is not a card" };
  const card = parsed.value;
  if (hashJson(card) !== entry.facts?.card_hash)
    return { wrong: "the text of the card does not match the hash of the card" };
  if (card.digest !== entry.digest)
    return { wrong: "the digest on the card differs from the digest of the request" };
  return { card };
}

/** Returns what is wrong with the signature of a `request.approved`, or undefined if it is valid. */
export async function checkSignature(
  { request, digest, approver, facts = {} }: Entry,
  devices: ReadonlyMap<string, LoggedDevice>,
): Promise<string | undefined> {
  const { card_hash: card, evidence } = facts;
  if (request === undefined || digest === undefined || approver === undefined || typeof card !== "string")
    return "a signed approval lacks request, digest, approver or card";
  if (!isObject(evidence)) return `${quote(request)} was approved by signature, but the entry has none`;
  const { credential, nonce, client_data, authenticator_data, signature } = evidence;
  if (
    typeof credential !== "string" ||
    typeof nonce !== "string" ||
    typeof client_data !== "string" ||
    typeof authenticator_data !== "string" ||
    typeof signature !== "string"
  )
    return `the signature of ${quote(request)} is incomplete`;

  const device = devices.get(credential);
  if (device?.approver !== approver)
    return `${quote(request)} was signed with a device that was not enrolled for ${quote(approver)} at that time`;
  const counter = await verifyPasskeyAssertion(
    { origin: device.origin, rpId: device.rpId, rpName: "" },
    {
      id: credential,
      rawId: credential,
      type: "public-key",
      response: { clientDataJSON: client_data, authenticatorData: authenticator_data, signature },
      clientExtensionResults: {},
    },
    decisionChallenge({ request, digest, card, verdict: "approve", approver, nonce }),
    // The log does not have the signature counter of that time; the server checked it then.
    { id: credential, publicKey: device.publicKey, counter: 0 },
  );
  return counter === undefined
    ? `the signature does not approve ${quote(request)} with this digest and this card by ${quote(approver)}`
    : undefined;
}
