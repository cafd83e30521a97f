import { createServer } from "node:net";

/** Returns a free port: `wanted` if it is free, otherwise another one. */
export async function freePort(preferred?: number): Promise<number> {
  if (preferred !== undefined && (await tryPort(preferred, "127.0.0.1")) && (await tryPort(preferred, "::1")))
    return preferred;
  const port = await tryPort(0, "127.0.0.1");
  if (port === undefined) throw new Error("no port is free on this machine");
  return port;
}

/** Tests a port by listening briefly. An unavailable address counts as free. */
function tryPort(port: number, host: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", ({ code }: NodeJS.ErrnoException) =>
      resolve(code === "EADDRINUSE" ? undefined : port),
    );
    server.listen({ port, host }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : port));
    });
  });
}
