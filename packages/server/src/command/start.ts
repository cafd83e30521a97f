import type { Command } from "./cli/command.ts";
import { readConfig, readOutsideKey, storeProblem } from "./cli/deployment.ts";
import { OperatorError } from "./cli/operator-error.ts";
import { version } from "./cli/version.ts";

export const startCommand: Command = {
  name: "start",
  summary: "run the server until it is told to stop (SIGTERM or SIGINT)",
  run: async (given, { stdout, stop }) => {
    const config = readConfig(given);
    // Loaded here, because no other command needs them.
    const { listen } = await import("../http/transport/listener.ts");
    const { openLogger } = await import("../logging/logger.ts");
    const { createServer } = await import("../server.ts");
    const rootKey = readOutsideKey(config);
    // Structured, to standard error; standard output says only where the server listens.
    const logger = openLogger(config.logging);
    const onFault = logger.fault;
    const crash = (fault: unknown) => {
      logger.crash(fault);
      process.exit(70);
    };
    const metrics = config.metrics && (await import("../metrics/metrics.ts")).openMetrics(version());
    const options = { config, rootKey, onFault, logger, ...(metrics && { metrics }) };
    const server = await createServer(options).catch((error: unknown) => {
      throw storeProblem(error);
    });
    const listener = await listen(config, server.apps, onFault);
    if ("refused" in listener) {
      await server.close();
      throw new OperatorError(listener.refused, listener.remedy);
    }
    const metricsListener = await listenForMetrics().catch(async (error) => {
      await Promise.all([listener.close(0), server.close()]);
      throw error;
    });
    process.once("uncaughtException", crash);
    const places = listener.addresses.map(({ host, port }) => `${host}:${port}`);
    stdout(`countersign listens on ${places.join(" and ")}, for ${config.issuer}`);
    logger.say("started", { version: version(), issuer: config.issuer, listens: places });
    await new Promise<void>((resolve) => {
      if (stop.aborted) resolve();
      else stop.addEventListener("abort", () => resolve(), { once: true });
    });
    logger.say("stopping", { signal: String(stop.reason) });
    // Held polls are answered, and what is under way is finished. Open event streams would keep the listener from closing.
    server.release();
    await listener.close(2_000);
    await metricsListener?.close();
    await server.close();
    logger.say("stopped", {});
    process.off("uncaughtException", crash);
    stdout("stopped");

    async function listenForMetrics() {
      if (!config.metrics || !metrics) return undefined;
      const { openMetricsListener } = await import("./metrics-listener.ts");
      const opened = await openMetricsListener(config.metrics, metrics);
      stdout(`metrics on ${config.metrics.host}:${opened.port}/metrics`);
      return opened;
    }
  },
};
