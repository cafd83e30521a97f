/**
 * The server process, on SQLite, is killed with SIGKILL at random moments, its start among them, while agents ask, poll,
 * hold polls and revoke, an approver decides, and an API spends. A seeded handful of kills normally; with
 * COUNTERSIGN_LONG=1 five hundred, or COUNTERSIGN_KILLS.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createNodeHarness, type NodeHarness } from "@countersign/testing/process/node-harness";
import { createRandom } from "@countersign/testing/process/server-process";
import { createWorkload, sleep } from "@countersign/testing/process/workload";

const kills = process.env.COUNTERSIGN_LONG ? Number(process.env.COUNTERSIGN_KILLS ?? 500) : 6;
const seed = Number(process.env.COUNTERSIGN_SEED ?? 20261122);
const workers = 6;

let deployment: NodeHarness;
before(async () => {
  deployment = await createNodeHarness({ environments: [{}] });
});
after(() => deployment?.close());

describe("server process", () => {
  test(`loses and duplicates nothing acknowledged if killed ${kills} times (seed ${seed}) (T21)`, {
    timeout: kills * 20_000,
  }, async (context) => {
    const pick = createRandom(seed);
    const { runDuring, checkEntries } = createWorkload(deployment.target, pick);
    const [server] = deployment.nodes;
    await runDuring("kill", workers, async (isOver, answered) => {
      for (let round = 0; round < kills && !isOver(); round += 1) {
        await answered(1 + pick() * 40);
        await sleep(pick() * 30);
        await deployment.kill(server!);
        // One in five is killed before it listens, or just after: what it does then is not to be trusted to be whole either.
        for (; round + 1 < kills && pick() < 0.2; round += 1) {
          deployment.spawn(server!);
          await sleep(200 + pick() * 600);
          await deployment.kill(server!);
        }
        await deployment.start(server!);
      }
    });
    const { spent, text } = checkEntries(await deployment.readEntries());
    context.diagnostic(text);
    assert.ok(spent > 0, "the server did work between the kills");
  });
});
