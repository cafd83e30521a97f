/** Inserts very many pending requests directly into the database: copies of one request, without log entries. */
import { DatabaseSync } from "node:sqlite";
import { toRequestId } from "@countersign/testing/server/deployment";
import { createAuthReqIds } from "../../packages/server/src/crypto/auth-req-id.ts";
import type { Countersign } from "./countersign.ts";
import { pollOnce, type Script } from "./load.ts";
import { requestAll } from "./target.ts";

/** Returns polls of some of them, spread over all, by their agent. */
export async function fillPending(
  server: Countersign,
  count: number,
  sample: number,
): Promise<readonly Script[]> {
  const [flow] = await server.flows(1, "secret");
  const [authReqId] = await requestAll(server, [flow!]);
  const id = toRequestId(authReqId!);
  const database = new DatabaseSync(server.file, { timeout: 60_000 });
  const columns = database
    .prepare("SELECT name FROM pragma_table_info('request') WHERE name NOT IN ('id', 'body')")
    .all()
    .map(({ name }) => name as string);
  // Ids have the length and order of real ones and sort after the template's; all belong to the template's agent.
  const stem = id.slice(0, -8);
  const insert = database.prepare(
    `WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?)
     INSERT INTO request (id, body, ${columns.join(", ")})
     SELECT ? || printf('%08d', i), replace(body, ?, ? || printf('%08d', i)), ${columns.join(", ")}
     FROM n CROSS JOIN request WHERE id = ?`,
  );
  const inbox = database.prepare(
    `INSERT INTO waiting (approver, request)
     SELECT approver, request.id FROM request, (SELECT approver FROM waiting WHERE request = ?)
     WHERE request.id BETWEEN ? AND ?`,
  );
  const step = 10_000;
  const formatId = (at: number) => stem + String(at).padStart(8, "0");
  for (let from = 1; from <= count; from += step) {
    const to = Math.min(count, from + step - 1);
    database.exec("BEGIN IMMEDIATE");
    insert.run(from, to, stem, id, stem, id);
    inbox.run(id, formatId(from), formatId(to));
    database.exec("COMMIT");
  }
  database.close();
  const { issue } = createAuthReqIds(server.rootKey);
  const held = await server.store.read("request", id);
  const every = count / sample;
  return Array.from({ length: sample }, (_, at) =>
    pollOnce(flow!.poll(issue(formatId(1 + Math.floor(at * every)), held!.record.agent))),
  );
}
