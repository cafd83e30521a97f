/**
 * Checks entries in order: whether an entry may follow those before it, whether the card matches the request, and whether
 * signatures are valid. A rejected entry is not applied, so entries that build on it are rejected as well.
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
  /** Approvals with a verified passkey signature. */
  signatures: number;
  /** Personal texts that match their commitments. */
  texts: number;
  /** Personal texts that were erased. */
  erased: number;
};

export type History = {
  readonly logState: LogState;
  readonly counts: Readonly<Counts>;
  /** Returns all problems of the next entry. `texts` is empty if it has none or they were erased. */
  checkNext(entry: Entry, texts: Texts): Promise<readonly string[]>;
};

export function createHistory(): History {
  const logState = createLogState();
  const counts: Counts = { requests: 0, signatures: 0, texts: 0, erased: 0 };

  return {
    logState,
    counts,
    checkNext: async (entry, texts) => {
      // The other checks rely on the required members.
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

      // Texts are stored beside the entry. Wrong ones are a problem, but do not invalidate the entry.
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

/** Returns whether the entry claims to be signed or has a signature: both are verified. */
function isSigned({ event, facts }: Entry): boolean {
  return event === "request.approved" && (facts?.level === "passkey-signed" || facts?.evidence !== undefined);
}

function findCardProblem(entry: Entry, texts: Texts): string | undefined {
  const shown = entry.event === "request.created" ? readCard(entry, texts) : undefined;
  return shown && "wrong" in shown ? shown.wrong : undefined;
}
