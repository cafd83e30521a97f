/**
 * Reads entries in order and says of each whether it may follow those before it, whether what was shown is what was
 * asked, and whether who is said to have signed did. An entry that may not be there changes nothing: what builds on it
 * is wrong as well.
 */
import type { Entry } from "@countersign/protocol";
import { checkTexts, type Texts } from "../parse-entry.ts";
import { checkSignature, readCard } from "../signature.ts";
import { actorChecks } from "./actor-check.ts";
import { callbackChecks } from "./callback-check.ts";
import { deviceChecks } from "./device-check.ts";
import { applyEntry, createLogState, type EntryCheck, type LogState } from "./log-state.ts";
import { requestChecks } from "./request-check.ts";
import { tokenChecks } from "./token-check.ts";

export const entryChecks = {
  ...requestChecks,
  ...tokenChecks,
  ...callbackChecks,
  ...deviceChecks,
  ...actorChecks,
};
const allChecks: readonly EntryCheck[] = Object.values(entryChecks);

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
  readonly logState: LogState;
  readonly counts: Readonly<Counts>;
  /** Says all that is wrong with the next entry. No texts: it has none, or they were erased. */
  checkNext(entry: Entry, texts: Texts): Promise<readonly string[]>;
};

export function createHistory(): History {
  const logState = createLogState();
  const counts: Counts = { requests: 0, signatures: 0, texts: 0, erased: 0 };

  return {
    logState,
    counts,
    checkNext: async (entry, texts) => {
      // The other rules may rely on an entry to say what its event has to say.
      const incomplete = entryChecks.entryIsComplete(entry);
      const results =
        incomplete === undefined ? allChecks.map((check) => check(entry, logState)) : [incomplete];
      const problems = results.filter((what) => what !== undefined);
      logState.ids.add(entry.id);
      if (isSigned(entry)) {
        const fault = await checkSignature(entry, logState.devices);
        if (fault === undefined) counts.signatures += 1;
        else problems.push(fault);
      }
      if (problems.length === 0) {
        applyEntry(logState, entry);
        if (entry.event === "request.created") counts.requests += 1;
      }

      // Texts stand beside the entry. Wrong ones are a problem, and make the entry no less true.
      const committed = Object.keys(entry.texts ?? {}).length;
      if (Object.keys(texts).length === 0) {
        counts.erased += committed;
        return problems;
      }
      const fault = checkTexts(entry, texts) ?? findCardProblem(entry, texts);
      if (fault === undefined) counts.texts += committed;
      else problems.push(fault);
      return problems;
    },
  };
}

/** Said to be signed, or carrying a signature: either way it has to hold. */
function isSigned({ event, facts }: Entry): boolean {
  return event === "request.approved" && (facts?.level === "passkey-signed" || facts?.evidence !== undefined);
}

function findCardProblem(entry: Entry, texts: Texts): string | undefined {
  const shown = entry.event === "request.created" ? readCard(entry, texts) : undefined;
  return shown && "wrong" in shown ? shown.wrong : undefined;
}
