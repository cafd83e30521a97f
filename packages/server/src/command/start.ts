import { serve } from "@hono/node-server";
import { pino } from "pino";
import { createServer } from "../server.ts";
import type { Command } from "./command.ts";
import { readConfig, readOutsideKey } from "./deployment.ts";
import { OperatorError } from "./operator-error.ts";

/** Milliseconds that a client has for its headers, and for its whole request: slow ones are cut off. */
const headersMs = 10_000;
const requestMs = 20_000;

export const startCommand: Command = {
  name: "start",
  says: "run the server until it is told to stop (SIGTERM or SIGINT)",
  run: async (given, { print, stop }) => {
    const config = readConfig(given);
    const outsideKey = readOutsideKey(config);
    // Structured, to standard error; standard output says only where the server listens.
    const log = pino({ base: undefined }, pino.destination({ dest: 2, sync: true }));
    const onFault = (fault: unknown, where: string) => log.error({ err: fault, where }, "fault");
    const server = await createServer({ config, outsideKey, onFault });
    const { host, port } = config.listen;
    const listener = serve({
      fetch: server.fetch,
      hostname: host,
      port,
      serverOptions: { headersTimeout: headersMs, requestTimeout: requestMs, keepAliveTimeout: 65_000 },
    });
    await new Promise<void>((resolve, reject) => {
      listener.once("listening", resolve);
      listener.once("error", (cause: NodeJS.ErrnoException) =>
        reject(
          cause.code === "EADDRINUSE"
            ? new OperatorError(
                `${host}:${port} is in use`,
                "Stop what listens there, or change listen in the configuration.",
              )
            : cause,
        ),
      );
    }).catch(async (error) => {
      await server.close();
      throw error;
    });
    print(`countersign listens on ${config.issuer}`);
    await new Promise<void>((resolve) => {
      if (stop.aborted) resolve();
      else stop.addEventListener("abort", () => resolve(), { once: true });
    });
    // Open event streams would keep the listener from closing; requests under way are finished first.
    const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
    if ("closeIdleConnections" in listener) listener.closeIdleConnections();
    setTimeout(() => "closeAllConnections" in listener && listener.closeAllConnections(), 2_000).unref();
    await closed;
    await server.close();
    print("stopped");
  },
};
