/**
 * What the log has said so far, as much of it as the rules ask about. Kept small: per request a short record, per entry
 * its id. A rule looks at one entry and at the past before it, and says in a sentence what does not hold.
 */
import {
  type AuthenticationLevel,
  authenticationLevels,
  type Entry,
  type Json,
  type RequestState,
  type TokenState,
} from "@countersign/protocol";

export type PastRequest = {
  readonly agent: string;
  readonly digest: string;
  readonly cardHash: string;
  readonly audience: string;
  readonly level: AuthenticationLevel;
  /** Who may decide; forgotten once somebody has, or nobody can any more. */
  readonly candidates: readonly string[];
  readonly expiresAt: number;
  readonly state: RequestState;
  /** Who decided. */
  readonly approver?: string;
};

export type PastToken = { readonly request: string; readonly expiresAt: number; readonly state: TokenState };

/** A device that is enrolled now. */
export type PastDevice = {
  readonly approver: string;
  /** COSE key, base64url. */
  readonly publicKey: string;
  readonly rpId: string;
  readonly origin: string;
};

export type Past = {
  readonly ids: Seen;
  readonly requests: Map<string, PastRequest>;
  readonly tokens: Map<string, PastToken>;
  /** By WebAuthn credential id. */
  readonly devices: Map<string, PastDevice>;
};

export type Rule = (entry: Entry, past: Past) => string | undefined;

/** The events that are about one request, and what an entry of each must name beside it. */
export const storyEvents: { readonly [event: string]: readonly (keyof Entry)[] } = {
  "request.created": ["request", "agent", "digest", "facts"],
  "request.approved": ["request", "agent", "approver", "digest", "facts"],
  "request.denied": ["request", "agent", "approver", "digest", "facts"],
  "request.expired": ["request", "agent", "digest"],
  "request.lapsed": ["request", "agent", "digest"],
  "request.cancelled": ["request", "agent", "digest"],
  "token.issued": ["request", "agent", "approver", "token", "digest", "facts"],
  "token.reserved": ["request", "agent", "token", "api", "digest"],
  "token.completed": ["request", "agent", "token", "api", "digest"],
  "token.failed": ["request", "agent", "token", "api", "digest"],
  "token.unknown": ["request", "agent", "token", "digest"],
  "token.expired": ["request", "agent", "token", "digest"],
  "token.revoked": ["request", "agent", "token", "digest"],
  "callback.failed": ["request", "agent", "facts"],
  "callback.sent": ["request", "agent", "facts"],
  "callback.given_up": ["request", "agent", "facts"],
};

export function openPast(): Past {
  return { ids: new Seen(), requests: new Map(), tokens: new Map(), devices: new Map() };
}

export function requestOf({ request }: Entry, past: Past): PastRequest | undefined {
  return request === undefined ? undefined : past.requests.get(request);
}

export function tokenOf({ token }: Entry, past: Past): PastToken | undefined {
  return token === undefined ? undefined : past.tokens.get(token);
}

/** Adds an entry that no rule objects to. */
export function remember(past: Past, entry: Entry): void {
  const { event, facts = {} } = entry;
  if (event === "device.enrolled") {
    const device = readDevice(entry);
    if (device) past.devices.set(own(String(facts.credential)), device);
  } else if (event === "device.removed") {
    past.devices.delete(String(facts.credential));
  } else if (event === "request.created") {
    const asked = readAsked(entry);
    if (asked) past.requests.set(own(entry.request!), asked);
  } else if (event === "token.issued") {
    move(past, entry, "redeemed");
    const token = {
      request: own(entry.request!),
      expiresAt: Number(facts.expires_at),
      state: "issued" as const,
    };
    past.tokens.set(own(entry.token!), token);
  } else if (Object.hasOwn(storyEvents, event)) {
    const [about, state] = event.split(".");
    if (about === "request") move(past, entry, state as RequestState);
    else if (about === "token")
      past.tokens.set(own(entry.token!), { ...past.tokens.get(entry.token!)!, state: state as TokenState });
  }
}

function move(past: Past, { request, approver }: Entry, state: RequestState): void {
  const before = past.requests.get(request!)!;
  const decider = state === "approved" || state === "denied" ? { approver: own(approver!) } : {};
  past.requests.set(own(request!), { ...before, candidates: [], state, ...decider });
}

/** What `request.created` says, or undefined where it does not say all of it. */
export function readAsked({ agent, digest, facts = {} }: Entry): PastRequest | undefined {
  const { card_hash, audience, level, candidates, expires_at } = facts;
  const known = authenticationLevels.find((name) => name === level);
  if (agent === undefined || digest === undefined || known === undefined) return undefined;
  if (typeof card_hash !== "string" || typeof audience !== "string" || typeof expires_at !== "number")
    return undefined;
  if (!isNames(candidates)) return undefined;
  return {
    agent: own(agent),
    digest: own(digest),
    cardHash: own(card_hash),
    audience: own(audience),
    level: known,
    candidates: candidates.map(own),
    expiresAt: expires_at,
    state: "pending",
  };
}

/** What `device.enrolled` says, or undefined where it does not say all of it. */
export function readDevice({ approver, facts = {} }: Entry): PastDevice | undefined {
  const { credential, public_key, rp_id, origin } = facts;
  if (approver === undefined || typeof credential !== "string" || typeof public_key !== "string")
    return undefined;
  if (typeof rp_id !== "string" || typeof origin !== "string") return undefined;
  return { approver: own(approver), publicKey: own(public_key), rpId: own(rp_id), origin: own(origin) };
}

function isNames(value: Json | undefined): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === "string");
}

/** A copy of its own: a piece of a line would keep the whole line in memory. */
function own(text: string): string {
  return Buffer.from(text).toString();
}

/** Which ids have been given. In several sets, because one holds no more than 2^24. */
export class Seen {
  private readonly sets: Set<string>[] = [new Set()];

  has(id: string): boolean {
    return this.sets.some((set) => set.has(id));
  }

  add(id: string): void {
    if (this.sets.at(-1)!.size >= 2 ** 23) this.sets.push(new Set());
    this.sets.at(-1)!.add(own(id));
  }
}
