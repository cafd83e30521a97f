/** The metrics listener: separate, so that the public listener does not serve metrics. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Metrics } from "../metrics/metrics.ts";
import { OperatorError } from "./cli/operator-error.ts";

export type MetricsListener = { readonly port: number; readonly close: () => Promise<void> };

export async function openMetricsListener(
  { host, port }: { readonly host: string; readonly port: number },
  { scrape }: Metrics,
): Promise<MetricsListener> {
  const listener = createServer((request, response) => {
    if (request.method !== "GET" || request.url !== "/metrics") {
      response.writeHead(404).end();
      return;
    }
    scrape().then(
      ({ contentType, text }) => response.writeHead(200, { "content-type": contentType }).end(text),
      () => response.writeHead(503).end(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    listener.once("error", ({ code, message }: NodeJS.ErrnoException) =>
      reject(
        new OperatorError(
          `cannot listen for metrics on ${host}:${port}: ${code === "EADDRINUSE" ? "the port is in use" : message}`,
          "Change metrics.port, or stop the process that uses it.",
        ),
      ),
    );
    listener.listen(port, host, resolve);
  });
  return {
    port: (listener.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        listener.close(() => resolve());
        listener.closeAllConnections();
      }),
  };
}
