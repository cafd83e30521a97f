/** Measures the time from a decision to the token of a held poll. */
import { openConnection } from "./harness/connection.ts";
import { startCountersign } from "./harness/countersign.ts";
import { expectStatus } from "./harness/load.ts";
import { formatTable, quantile } from "./harness/stats.ts";
import { requestAll } from "./harness/target.ts";

const count = 300;

export async function wakeUp(): Promise<void> {
  const server = await startCountersign();
  const latencies: number[] = [];
  try {
    const flows = await server.flows(count, "secret");
    const authReqIds = await requestAll(server, flows);
    const [agent, person] = [await openConnection(server.port), await openConnection(server.port)];
    for (const [at, flow] of flows.entries()) {
      const held = agent.send(withWait(flow.redeem(authReqIds[at]!)));
      // Wait until the poll is held; otherwise this would measure a plain redemption.
      await new Promise((resolve) => setTimeout(resolve, 10));
      const start = performance.now();
      const decided = person.send(flow.decide(authReqIds[at]!));
      expectStatus(await held, 200);
      latencies.push(performance.now() - start);
      expectStatus(await decided, 303);
    }
    agent.close();
    person.close();
  } finally {
    await server.close();
  }
  const say = (part: number) => `${quantile(latencies, part).toFixed(1)} ms`;
  const about = "decision sent → token received, poll held";
  console.log(`\n${formatTable(["wake-up", "p50", "p99", "worst"], [[about, say(0.5), say(0.99), say(1)]])}`);
}

function withWait(request: Buffer): Buffer {
  return Buffer.from(request.toString("latin1").replace("\r\n\r\n", "\r\nprefer: wait=20\r\n\r\n"), "latin1");
}
