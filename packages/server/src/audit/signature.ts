/**
 * What was shown and what was signed, computed again: the card's text against the hash that the request was created
 * with, and the passkey's signature against the challenge that only these six values make.
 */
import { decisionChallenge, type Entry, hashJson, type JsonObject, parseJson } from "@countersign/protocol";
import { verifyPasskeyAssertion } from "../crypto/passkey.ts";
import type { LoggedDevice } from "./check/log-state.ts";
import { isObject, type Texts } from "./parse-entry.ts";
import { quote } from "./problem.ts";

/** The card of a `request.created`, or what is wrong with it; undefined where its text was erased. */
export function readCard(entry: Entry, texts: Texts): { card: JsonObject } | { wrong: string } | undefined {
  if (texts.card === undefined) return undefined;
  const parsed = parseJson(texts.card.text);
  if ("refused" in parsed || !isObject(parsed.value)) return { wrong: "the card's text is not a card" };
  const card = parsed.value;
  if (hashJson(card) !== entry.facts?.card_hash)
    return { wrong: "the card's text does not have the card's hash" };
  if (card.digest !== entry.digest) return { wrong: "the card shows another digest than the request's" };
  return { card };
}

/** What is wrong with the signature of a `request.approved`; undefined where it holds. */
export async function checkSignature(
  { request, digest, approver, facts = {} }: Entry,
  devices: ReadonlyMap<string, LoggedDevice>,
): Promise<string | undefined> {
  const { card_hash: card, evidence } = facts;
  if (request === undefined || digest === undefined || approver === undefined || typeof card !== "string")
    return "a signed approval does not say what was signed";
  if (!isObject(evidence)) return `${quote(request)} was approved by signature, and there is none`;
  const { credential, nonce, client_data, authenticator_data, signature } = evidence;
  if (
    typeof credential !== "string" ||
    typeof nonce !== "string" ||
    typeof client_data !== "string" ||
    typeof authenticator_data !== "string" ||
    typeof signature !== "string"
  )
    return `the evidence for ${quote(request)} is not whole`;

  const device = devices.get(credential);
  if (device?.approver !== approver)
    return `${quote(request)} was signed with a device that was not enrolled for ${quote(approver)} at the time`;
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
    // What the counter was at the time is not in the log; whether it had grown, the server asked then.
    { id: credential, publicKey: device.publicKey, counter: 0 },
  );
  return counter === undefined
    ? `the signature does not approve ${quote(request)} with this digest and this card by ${quote(approver)}`
    : undefined;
}
