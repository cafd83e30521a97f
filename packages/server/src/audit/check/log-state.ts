/**
 * State of the log as of the last entry, as far as the checks need it: a short record per request and token, and the id of
 * each entry. A check compares one entry with this state and returns a sentence if it does not hold.
 */
import {
  type AuthenticationLevel,
  authenticationLevels,
  type Entry,
  type Json,
  type RequestState,
  type TokenState,
} from "@countersign/protocol";
import { findEvent, toCurrentEvent } from "../event.ts";

export type LoggedRequest = {
  readonly agent: string;
  readonly digest: string;
  readonly cardHash: string;
  readonly audience: string;
  readonly level: AuthenticationLevel;
  /** The candidates; emptied when the request is decided or has ended. */
  readonly candidates: readonly string[];
  readonly expiresAt: number;
  readonly state: RequestState;
  /** The approver who decided. */
  readonly approver?: string;
};

export type LoggedToken = {
  readonly request: string;
  readonly expiresAt: number;
  readonly state: TokenState;
};

/** An enrolled device. */
export type LoggedDevice = {
  readonly approver: string;
  /** COSE key, base64url. */
  readonly publicKey: string;
  readonly rpId: string;
  readonly origin: string;
};

export type LogState = {
  readonly ids: IdSet;
  readonly requests: Map<string, LoggedRequest>;
  readonly tokens: Map<string, LoggedToken>;
  /** By WebAuthn credential id. */
  readonly devices: Map<string, LoggedDevice>;
};

export type EntryCheck = (entry: Entry, logState: LogState) => string | undefined;

export function createLogState(): LogState {
  return { ids: new IdSet(), requests: new Map(), tokens: new Map(), devices: new Map() };
}

export function findRequest({ request }: Entry, logState: LogState): LoggedRequest | undefined {
  return request === undefined ? undefined : logState.requests.get(request);
}

export function findToken({ token }: Entry, logState: LogState): LoggedToken | undefined {
  return token === undefined ? undefined : logState.tokens.get(token);
}

/** Applies an entry that passed all checks. */
export function applyEntry(logState: LogState, entry: Entry): void {
  const { facts = {} } = entry;
  const event = toCurrentEvent(entry.event);
  if (event === "device.enrolled") {
    const device = readDevice(entry);
    if (device) logState.devices.set(copyString(String(facts.credential)), device);
  } else if (event === "device.removed") {
    logState.devices.delete(String(facts.credential));
  } else if (event === "request.created") {
    const created = readCreatedRequest(entry);
    if (created) logState.requests.set(copyString(entry.request!), created);
  } else if (event === "token.issued") {
    setRequestState(logState, entry, "redeemed");
    const token = {
      request: copyString(entry.request!),
      expiresAt: Number(facts.expires_at),
      state: "issued" as const,
    };
    logState.tokens.set(copyString(entry.token!), token);
  } else if (findEvent(event)?.history) {
    const [noun, state] = event.split(".");
    if (noun === "request") setRequestState(logState, entry, state as RequestState);
    else if (noun === "token")
      logState.tokens.set(copyString(entry.token!), {
        ...logState.tokens.get(entry.token!)!,
        state: state as TokenState,
      });
  }
}

function setRequestState(logState: LogState, { request, approver }: Entry, state: RequestState): void {
  const before = logState.requests.get(request!)!;
  const decidedBy = state === "approved" || state === "denied" ? { approver: copyString(approver!) } : {};
  logState.requests.set(copyString(request!), { ...before, candidates: [], state, ...decidedBy });
}

/** Returns the request of a `request.created`, or undefined if a member is missing. */
export function readCreatedRequest({ agent, digest, facts = {} }: Entry): LoggedRequest | undefined {
  const { card_hash, audience, level, candidates, expires_at } = facts;
  const knownLevel = authenticationLevels.find((name) => name === level);
  if (agent === undefined || digest === undefined || knownLevel === undefined) return undefined;
  if (typeof card_hash !== "string" || typeof audience !== "string" || typeof expires_at !== "number")
    return undefined;
  if (!isStringArray(candidates)) return undefined;
  return {
    agent: copyString(agent),
    digest: copyString(digest),
    cardHash: copyString(card_hash),
    audience: copyString(audience),
    level: knownLevel,
    candidates: candidates.map(copyString),
    expiresAt: expires_at,
    state: "pending",
  };
}

/** Returns the device of a `device.enrolled`, or undefined if a member is missing. */
export function readDevice({ approver, facts = {} }: Entry): LoggedDevice | undefined {
  const { credential, public_key, rp_id, origin } = facts;
  if (approver === undefined || typeof credential !== "string" || typeof public_key !== "string")
    return undefined;
  if (typeof rp_id !== "string" || typeof origin !== "string") return undefined;
  return {
    approver: copyString(approver),
    publicKey: copyString(public_key),
    rpId: copyString(rp_id),
    origin: copyString(origin),
  };
}

function isStringArray(value: Json | undefined): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === "string");
}

/** Returns a copy. A slice of a line would keep the whole line in memory. */
function copyString(text: string): string {
  return Buffer.from(text).toString();
}

/** A set of ids. Consists of several sets, because one holds at most 2^24. */
export class IdSet {
  private readonly sets: Set<string>[] = [new Set()];

  has(id: string): boolean {
    return this.sets.some((set) => set.has(id));
  }

  add(id: string): void {
    if (this.sets.at(-1)!.size >= 2 ** 23) this.sets.push(new Set());
    this.sets.at(-1)!.add(copyString(id));
  }
}
