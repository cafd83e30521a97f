import type { Command } from "./cli/command.ts";
import { readConfig, readRootKey, toStoreError } from "./cli/deployment.ts";
import { OperatorError } from "./cli/operator-error.ts";
import { readVersion } from "./cli/version.ts";

export const startCommand: Command = {
  name: "start",
  summary: "run the server until SIGTERM or SIGINT",
  run: async (args, { stdout, signal }) => {
    const config = readConfig(args);
    // Loaded here, because no other command needs them.
    const { listen } = await import("../http/transport/listener.ts");
    const { openLogger } = await import("../logging/logger.ts");
    const { createServer } = await import("../server.ts");
    const rootKey = readRootKey(config);
    // Structured, to standard error; standard output says only where the server listens.
    const logger = openLogger(config.logging);
    const onFault = logger.logFault;
    const crash = (fault: unknown) => {
      logger.logCrash(fault);
      process.exit(70);
    };
    const metrics = config.metrics && (await import("../metrics/metrics.ts")).openMetrics(readVersion());
    const options = { config, rootKey, onFault, logger, ...(metrics && { metrics }) };
    const server = await createServer(options).catch((error: unknown) => {
      throw toStoreError(error);
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
    const addresses = listener.addresses.map(({ host, port }) => `${host}:${port}`);
    stdout(`countersign listens on ${addresses.join(" and ")}, for ${config.issuer}`);
    logger.logEvent("started", { version: readVersion(), issuer: config.issuer, listens: addresses });
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
    logger.logEvent("stopping", { signal: String(signal.reason) });
    // Held polls are answered, and what is under way is finished. Open event streams would keep the listener from closing.
    server.beginShutdown();
    await listener.close(2_000);
    await metricsListener?.close();
    await server.close();
    logger.logEvent("stopped", {});
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
