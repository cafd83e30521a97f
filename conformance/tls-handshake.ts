/** A TLS handshake and nothing after it. */
import { connect, type SecureVersion } from "node:tls";

/** What is agreed on with a server at this URL, or why nothing is. */
export function tlsHandshake(
  url: string,
  ca: string | undefined,
  minVersion: SecureVersion,
  maxVersion: SecureVersion,
  ciphers?: string,
) {
  const { hostname: host, port } = new URL(url);
  return new Promise<string>((resolve) => {
    // Security level 0: what is refused is refused by the server, and not already by this side.
    const suites = `${ciphers ?? "DEFAULT"}:@SECLEVEL=0`;
    const socket = connect({ host, port: Number(port), ca, minVersion, maxVersion, ciphers: suites }, () => {
      resolve(`${socket.getProtocol()} ${socket.getCipher().standardName}`);
      socket.end();
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}
