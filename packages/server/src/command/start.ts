import { getErrorMessage } from "@countersign/protocol";
import { loadConfig } from "../config/config.ts";
import type { Command } from "./cli/command.ts";
import { readLoadedConfig, readRootKey, resolveConfigFile, toStoreError } from "./cli/deployment.ts";
import { OperatorError } from "./cli/operator-error.ts";
import { readVersion } from "./cli/version.ts";

export const startCommand: Command = {
  name: "start",
  summary: "run the server until SIGTERM or SIGINT; SIGHUP reloads the policy",
  run: async (args, { stdout, signal }) => {
    const { config, values } = readLoadedConfig(args);
    const file = { values, load: () => loadConfig(resolveConfigFile(args)) };
    // Loaded here, because no other command needs them.
    const { listen } = await import("../http/transport/listener.ts");
    const { openLogger } = await import("../logging/logger.ts");
    const { createServer } = await import("../server.ts");
    const rootKey = readRootKey(config);
    // JSON lines to standard error; standard output has only the listening addresses.
    const logger = openLogger(config.logging);
    const onFault = logger.logFault;
    const crash = (fault: unknown) => {
      logger.logCrash(fault);
      process.exit(70);
    };
    const metrics = config.metrics && (await import("../metrics/metrics.ts")).openMetrics(readVersion());
    const options = { config, file, rootKey, onFault, logger, ...(metrics && { metrics }) };
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
    const controlSocket = await listenForControl();
    process.on("SIGHUP", reload);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });
    process.off("SIGHUP", reload);
    await controlSocket?.close();
    logger.logEvent("stopping", { signal: String(signal.reason) });
    // Responds to held polls and finishes requests in progress. Open event streams would keep the listener from closing.
    server.beginShutdown();
    await listener.close(2_000);
    await metricsListener?.close();
    await server.close();
    logger.logEvent("stopped", {});
    process.off("uncaughtException", crash);
    stdout("stopped");

    async function reload() {
      const result = await server.reload!();
      if (result.reloaded)
        logger.logEvent("reloaded", { changed: result.changed, needs_restart: result.needsRestart });
      else logger.logEvent("reload_rejected", { problems: result.problems });
      return result;
    }

    /** The server runs without a control socket if the path cannot be used: SIGHUP reloads, too. */
    async function listenForControl() {
      const { openControlSocket, resolveControlSocket } = await import("./control-socket.ts");
      const path = resolveControlSocket(config);
      if (path === undefined) return undefined;
      return await openControlSocket(path, reload).catch((error: unknown) => {
        logger.logEvent("control_socket_unavailable", { path, problem: getErrorMessage(error) });
        return undefined;
      });
    }

    async function listenForMetrics() {
      if (!config.metrics || !metrics) return undefined;
      const { openMetricsListener } = await import("./metrics-listener.ts");
      const opened = await openMetricsListener(config.metrics, metrics);
      stdout(`metrics on ${config.metrics.host}:${opened.port}/metrics`);
      return opened;
    }
  },
};
