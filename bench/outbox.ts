/**
 * Measures how much work is wasted, and whether anything is sent twice, if several nodes process the same outbox concurrently. A
 * thousand messages are due, and a thousand requests have expired.
 */
import { deliver } from "../packages/server/src/job/deliver-message.ts";
import { sweep } from "../packages/server/src/job/sweep.ts";
import {
  aMessage,
  anAgent,
  anApprover,
  anEntry,
  aRequest,
} from "../packages/server/src/store/contract/fixture.ts";
import { openPostgres } from "../packages/server/src/store/postgres/postgres.ts";
import { absent, type Store } from "../packages/server/src/store/store.ts";
import { createIntactRequest } from "../packages/testing/src/audit/action-fixture.ts";
import { type Cost, countStatements, startDatabase } from "./harness/database.ts";
import { formatInteger, formatTable } from "./harness/stats.ts";

const due = 1_000;

type Counts = { reads: number; written: number; conflicts: number };

export async function outbox(): Promise<void> {
  const rows: string[][] = [];
  for (const nodes of [1, 3]) rows.push(...(await measureOutbox(nodes)));
  const head = [
    "",
    "nodes",
    "done",
    "twice",
    "conflicts",
    "reads",
    "statements",
    "commits",
    "PostgreSQL CPU",
    "took",
  ];
  console.log(`\n${formatTable(head, rows)}`);
}

async function measureOutbox(count: number): Promise<string[][]> {
  const database = await startDatabase();
  const stores: Store[] = [];
  try {
    for (let at = 0; at < count; at += 1)
      stores.push(await openPostgres({ url: database.url, create: true }));
    await fill(stores[0]!);
    const counts: Counts = { reads: 0, written: 0, conflicts: 0 };
    const nodes = stores.map((store) => countOperations(store, counts));
    const sent = new Map<string, number>();
    const channel = {
      contacts: "email" as const,
      send: async ({ messageId }: { readonly messageId: string }) => {
        sent.set(messageId, (sent.get(messageId) ?? 0) + 1);
        // Roughly the latency of a mail server.
        await new Promise((resolve) => setTimeout(resolve, 5 + Math.random() * 10));
        return undefined;
      },
    };
    const channels = new Map([["mail", channel]]);
    const rows: string[][] = [];
    const row = (what: string, cost: Cost, done: number, twice: number, seconds: number) => {
      rows.push([
        what,
        String(count),
        formatInteger(done),
        formatInteger(twice),
        formatInteger(counts.conflicts),
        formatInteger(counts.reads),
        formatInteger(countStatements(cost)),
        formatInteger(countStatements(cost, /^COMMIT/)),
        `${cost.cpuSeconds.toFixed(2)} s`,
        `${seconds.toFixed(1)} s`,
      ]);
      Object.assign(counts, { reads: 0, written: 0, conflicts: 0 });
    };

    let startedAt = performance.now();
    let cost = await database.measure(() =>
      Promise.all(nodes.map((store) => rounds(() => deliver({ store, channels })))),
    );
    const twice = [...sent.values()].filter((times) => times > 1).length;
    row("deliver", cost, sent.size, twice, (performance.now() - startedAt) / 1000);

    await expire(stores[0]!);
    startedAt = performance.now();
    let swept = 0;
    cost = await database.measure(() =>
      Promise.all(
        nodes.map((store) =>
          rounds(async () => {
            const written = await sweep(store);
            swept += written;
            return written;
          }),
        ),
      ),
    );
    row("sweep", cost, swept, 0, (performance.now() - startedAt) / 1000);
    return rows;
  } finally {
    await Promise.all(stores.map((store) => store.close()));
    await database.discard();
  }
}

/** Runs the job until it found nothing three times in a row; records leased by other nodes are theirs. */
async function rounds(round: () => Promise<number>): Promise<void> {
  for (let idle = 0; idle < 3; ) {
    idle = (await round()) === 0 ? idle + 1 : 0;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function countOperations(store: Store, counts: Counts): Store {
  const outcome = (found: "committed" | "conflict") => {
    if (found === "conflict") counts.conflicts += 1;
    else counts.written += 1;
    return found;
  };
  return {
    ...store,
    read: (kind, id) => {
      counts.reads += 1;
      return store.read(kind, id);
    },
    due: (kind, now, limit) => {
      counts.reads += 1;
      return store.due(kind, now, limit);
    },
    commit: async (change) => outcome(await store.commit(change)),
    commitUnlogged: async (change) => outcome(await store.commitUnlogged(change)),
  };
}

/** Creates a request with a lifetime of one hour, an approver and a thousand messages. */
async function fill(store: Store): Promise<void> {
  const approver = anApprover();
  const agent = anAgent();
  const { request, actionType } = createIntactRequest({
    agent: agent.id,
    candidates: [approver.id],
    expiresAt: store.now() + 3_600_000,
  });
  const record = { ...request, decideBy: request.expiresAt };
  const first = [
    { put: "agent", record: agent, ifVersion: absent },
    { put: "approver", record: approver, ifVersion: absent },
    { put: "action_type", record: actionType, ifVersion: absent },
    { put: "request", record, ifVersion: absent },
  ] as const;
  await store.commit({ writes: first, entries: [anEntry()] });
  const message = { requestId: request.id, approver: approver.id, dueAt: store.now() };
  await Promise.all(
    Array.from({ length: due }, () =>
      store.commitUnlogged({ writes: [{ put: "message", record: aMessage(message), ifVersion: absent }] }),
    ),
  );
}

async function expire(store: Store): Promise<void> {
  const expiresAt = store.now() - 1;
  await Promise.all(
    Array.from({ length: due }, () =>
      store.commit({
        writes: [{ put: "request", record: aRequest({ expiresAt, decideBy: expiresAt }), ifVersion: absent }],
        entries: [anEntry()],
      }),
    ),
  );
}
