/**
 * Reads entries in order and says of each whether it may follow those before it, whether what was shown is what was
 * asked, and whether who is said to have signed did. An entry that may not be there changes nothing: what builds on it
 * is wrong as well.
 */
import type { Entry } from "@countersign/protocol";
import { callbackRules } from "./callback-rule.ts";
import { deviceRules } from "./device-rule.ts";
import { checkTexts, type Texts } from "./entry.ts";
import { openPast, type Past, type Rule, remember } from "./past.ts";
import { requestRules } from "./request-rule.ts";
import { checkSignature, readCard } from "./signature.ts";
import { tokenRules } from "./token-rule.ts";

export const rules = { ...requestRules, ...tokenRules, ...callbackRules, ...deviceRules };
const everyRule: readonly Rule[] = Object.values(rules);

export type Counts = {
  requests: number;
  /** Approvals whose passkey signature was verified. */
  signatures: number;
  /** Personal texts that are the ones committed to. */
  texts: number;
  /** Personal texts that are not there any more. */
  erased: number;
};

export type History = {
  readonly past: Past;
  readonly counts: Readonly<Counts>;
  /** Says all that is wrong with the next entry. No texts: it has none, or they were erased. */
  next(entry: Entry, texts: Texts): Promise<readonly string[]>;
};

export function openHistory(): History {
  const past = openPast();
  const counts: Counts = { requests: 0, signatures: 0, texts: 0, erased: 0 };

  return {
    past,
    counts,
    next: async (entry, texts) => {
      // The other rules may rely on an entry to say what its event has to say.
      const partial = rules.entryIsWhole(entry);
      const objections = partial === undefined ? everyRule.map((rule) => rule(entry, past)) : [partial];
      const wrong = objections.filter((what) => what !== undefined);
      past.ids.add(entry.id);
      if (isSigned(entry)) {
        const fault = await checkSignature(entry, past.devices);
        if (fault === undefined) counts.signatures += 1;
        else wrong.push(fault);
      }
      if (wrong.length === 0) {
        remember(past, entry);
        if (entry.event === "request.created") counts.requests += 1;
      }

      // Texts stand beside the entry. Wrong ones are a problem, and make the entry no less true.
      const committed = Object.keys(entry.texts ?? {}).length;
      if (Object.keys(texts).length === 0) {
        counts.erased += committed;
        return wrong;
      }
      const fault = checkTexts(entry, texts) ?? wrongCard(entry, texts);
      if (fault === undefined) counts.texts += committed;
      else wrong.push(fault);
      return wrong;
    },
  };
}

/** Said to be signed, or carrying a signature: either way it has to hold. */
function isSigned({ event, facts }: Entry): boolean {
  return event === "request.approved" && (facts?.level === "passkey-signed" || facts?.evidence !== undefined);
}

function wrongCard(entry: Entry, texts: Texts): string | undefined {
  const shown = entry.event === "request.created" ? readCard(entry, texts) : undefined;
  return shown && "wrong" in shown ? shown.wrong : undefined;
}
