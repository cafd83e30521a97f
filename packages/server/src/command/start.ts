import type { Command } from "./command.ts";
import { readConfig, readOutsideKey, storeProblem } from "./deployment.ts";
import { OperatorError } from "./operator-error.ts";

/** Milliseconds that a client has for its headers, and for its whole request: slow ones are cut off. */
const headersMs = 10_000;
const requestMs = 20_000;

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: "the port is in use",
  EADDRNOTAVAIL: "this machine has no such address",
  EACCES: "ports below 1024 need more rights",
};

export const startCommand: Command = {
  name: "start",
  says: "run the server until it is told to stop (SIGTERM or SIGINT)",
  run: async (given, { print, stop }) => {
    const config = readConfig(given);
    // Loaded here, because no other command needs them.
    const { serve } = await import("@hono/node-server");
    const { pino } = await import("pino");
    const { createServer } = await import("../server.ts");
    const outsideKey = readOutsideKey(config);
    // Structured, to standard error; standard output says only where the server listens.
    const log = pino({ base: undefined }, pino.destination({ dest: 2, sync: true }));
    const onFault = (fault: unknown, where: string) => log.error({ err: fault, where }, "fault");
    const server = await createServer({ config, outsideKey, onFault }).catch((error: unknown) => {
      throw storeProblem(error);
    });
    const { host, port } = config.listen;
    const listener = serve({
      fetch: (request) => server.fetch(request),
      hostname: host,
      port,
      serverOptions: { headersTimeout: headersMs, requestTimeout: requestMs, keepAliveTimeout: 65_000 },
    });
    await new Promise<void>((resolve, reject) => {
      listener.once("listening", resolve);
      listener.once("error", (cause: NodeJS.ErrnoException) =>
        reject(
          new OperatorError(
            `cannot listen on ${host}:${port}: ${reasons[cause.code ?? ""] ?? cause.message}`,
            "Stop what is in the way; or change listen, and issuer where it names the port.",
          ),
        ),
      );
    }).catch(async (error) => {
      await server.close();
      throw error;
    });
    print(`countersign listens on ${host}:${port}, for ${config.issuer}`);
    await new Promise<void>((resolve) => {
      if (stop.aborted) resolve();
      else stop.addEventListener("abort", () => resolve(), { once: true });
    });
    // Held polls are answered, and what is under way is finished. Open event streams would keep the listener from closing.
    server.release();
    const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
    if ("closeIdleConnections" in listener) listener.closeIdleConnections();
    setTimeout(() => "closeAllConnections" in listener && listener.closeAllConnections(), 2_000).unref();
    await closed;
    await server.close();
    print("stopped");
  },
};
