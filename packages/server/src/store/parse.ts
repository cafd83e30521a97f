/**
 * Records as they are read from their JSON. Those that are looked at in every request and change seldom (who may ask, spend,
 * decide) are parsed once for each text: the row is still read each time, and a text that is another is parsed anew.
 */
import type { Kind, Records } from "./record.ts";
import type { Held, Polling, Standing } from "./store.ts";

export type HeldRow = { readonly version: number; readonly body: string };
export type Body = Pick<HeldRow, "body">;

/** What joins an agent with a request; without one, nulls. */
export type PolledRow = HeldRow & (Standing | { readonly [C in keyof Standing]: null });

type Known = { readonly body: string; readonly record: unknown };

/** How many are kept of each kind. Beyond that all are forgotten, and those in use are soon there again. */
const kept = 2_000;
const known: { readonly [K in Kind]?: Map<string, Known> } = {
  agent: new Map(),
  api: new Map(),
  approver: new Map(),
  session: new Map(),
};

/** A record is what was put under its kind: only a change writes bodies. `id` is what its row was found by. */
export function parseRecord<K extends Kind>(kind: K, { body }: Body, id?: string): Records[K] {
  const texts = id === undefined ? undefined : known[kind];
  if (!texts) return JSON.parse(body) as Records[K];
  const found = texts.get(id!);
  if (found?.body === body) return found.record as Records[K];
  const record = frozen(JSON.parse(body)) as Records[K];
  if (texts.size >= kept) texts.clear();
  texts.set(id!, { body, record });
  return record;
}

export function parseHeld<K extends Kind>(kind: K, row: HeldRow, id?: string): Held<K> {
  return { record: parseRecord(kind, row, id), version: row.version };
}

export function parsePolled(agentId: string, row: PolledRow | undefined): Polling {
  if (!row) return {};
  const agent = parseHeld("agent", row, agentId);
  if (row.agent === null) return { agent };
  return { agent, standing: { agent: row.agent, state: row.state, expiresAt: row.expiresAt } };
}

/** Several callers are given the same object: whoever tried to change it would be a fault, and not a silent one. */
function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    Object.values(value).forEach(frozen);
    Object.freeze(value);
  }
  return value;
}
