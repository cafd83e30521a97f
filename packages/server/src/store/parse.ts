/**
 * Parses records from their JSON. Kinds that every request reads and that seldom change (`cached`) are parsed once
 * per text: the row is still read every time, and a changed text misses the cache.
 */
import { definitions, type Kind, kinds, type Records } from "./record/records.ts";
import type { AgentAndStatus, PollState, Versioned } from "./store.ts";

export type VersionedRow = { readonly version: number; readonly body: string };
export type RecordJson = Pick<VersionedRow, "body">;

/** An agent joined with a request; the columns of the request are null if it does not exist. */
export type AgentAndStatusRow = VersionedRow & (PollState | { readonly [C in keyof PollState]: null });

type CachedRecord = { readonly body: string; readonly record: unknown };

/** Capacity per kind. A full cache is cleared as a whole. */
const maxCachedPerKind = 2_000;
const cache: { readonly [K in Kind]?: Map<string, CachedRecord> } = Object.fromEntries(
  kinds.filter((kind) => definitions[kind].cached).map((kind) => [kind, new Map<string, CachedRecord>()]),
);

/**
 * Parses the body of a row. Only changes write bodies, so it is a valid record of its kind. Pass the record's `id` to
 * use the cache.
 */
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

/** Freezes recursively: callers share cached objects, and a mutation must throw. */
function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    Object.values(value).forEach(deepFreeze);
    Object.freeze(value);
  }
  return value;
}
