import type { Command } from "./command.ts";
import { readConfig, readOutsideKey, storeProblem } from "./deployment.ts";
import { OperatorError } from "./operator-error.ts";

export const startCommand: Command = {
  name: "start",
  says: "run the server until it is told to stop (SIGTERM or SIGINT)",
  run: async (given, { print, stop }) => {
    const config = readConfig(given);
    // Loaded here, because no other command needs them.
    const { listen } = await import("../http/listener.ts");
    const { pino } = await import("pino");
    const { createServer } = await import("../server.ts");
    const outsideKey = readOutsideKey(config);
    // Structured, to standard error; standard output says only where the server listens.
    const log = pino({ base: undefined }, pino.destination({ dest: 2, sync: true }));
    const onFault = (fault: unknown, where: string) => log.error({ err: fault, where }, "fault");
    const metrics = config.metrics && (await import("../metrics/metrics.ts")).openMetrics();
    const server = await createServer({ config, outsideKey, onFault, ...(metrics && { metrics }) }).catch(
      (error: unknown) => {
        throw storeProblem(error);
      },
    );
    const listener = await listen(config, server, onFault);
    if ("refused" in listener) {
      await server.close();
      throw new OperatorError(listener.refused, listener.remedy);
    }
    const door = await openDoor().catch(async (error) => {
      await Promise.all([listener.close(0), server.close()]);
      throw error;
    });
    const places = listener.addresses.map(({ host, port }) => `${host}:${port}`).join(" and ");
    print(`countersign listens on ${places}, for ${config.issuer}`);
    await new Promise<void>((resolve) => {
      if (stop.aborted) resolve();
      else stop.addEventListener("abort", () => resolve(), { once: true });
    });
    // Held polls are answered, and what is under way is finished. Open event streams would keep the listener from closing.
    server.release();
    await listener.close(2_000);
    await door?.close();
    await server.close();
    print("stopped");

    async function openDoor() {
      if (!config.metrics || !metrics) return undefined;
      const { openMetricsDoor } = await import("./metrics-door.ts");
      const opened = await openMetricsDoor(config.metrics, metrics);
      print(`metrics on ${config.metrics.host}:${opened.port}/metrics`);
      return opened;
    }
  },
};
