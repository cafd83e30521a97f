/**
 * Records as they are read from their JSON. Those that are looked at in every request and change seldom (who may ask, spend,
 * decide) are parsed once for each text: the row is still read each time, and a text that is another is parsed anew.
 */
import { definitions, type Kind, kinds, type Records } from "./record/records.ts";
import type { AgentAndStatus, PollState, Versioned } from "./store.ts";

export type VersionedRow = { readonly version: number; readonly body: string };
export type RecordJson = Pick<VersionedRow, "body">;

/** What joins an agent with a request; without one, nulls. */
export type AgentAndStatusRow = VersionedRow & (PollState | { readonly [C in keyof PollState]: null });

type CachedRecord = { readonly body: string; readonly record: unknown };

/** How many are kept of each kind. Beyond that all are forgotten, and those in use are soon there again. */
const maxCachedPerKind = 2_000;
const cache: { readonly [K in Kind]?: Map<string, CachedRecord> } = Object.fromEntries(
  kinds.filter((kind) => definitions[kind].cached).map((kind) => [kind, new Map<string, CachedRecord>()]),
);

/** A record is what was put under its kind: only a change writes bodies. `id` is what its row was found by. */
export function parseRecord<K extends Kind>(kind: K, { body }: RecordJson, id?: string): Records[K] {
  const cached = id === undefined ? undefined : cache[kind];
  if (!cached) return JSON.parse(body) as Records[K];
  const found = cached.get(id!);
  if (found?.body === body) return found.record as Records[K];
  const record = deepFreeze(JSON.parse(body)) as Records[K];
  if (cached.size >= maxCachedPerKind) cached.clear();
  cached.set(id!, { body, record });
  return record;
}

export function parseVersioned<K extends Kind>(kind: K, row: VersionedRow, id?: string): Versioned<K> {
  return { record: parseRecord(kind, row, id), version: row.version };
}

export function parseAgentAndStatus(agentId: string, row: AgentAndStatusRow | undefined): AgentAndStatus {
  if (!row) return {};
  const agent = parseVersioned("agent", row, agentId);
  if (row.agent === null) return { agent };
  return { agent, request: { agent: row.agent, state: row.state, expiresAt: row.expiresAt } };
}

/** Several callers are given the same object: whoever tried to change it would be a fault, and not a silent one. */
function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    Object.values(value).forEach(deepFreeze);
    Object.freeze(value);
  }
  return value;
}
