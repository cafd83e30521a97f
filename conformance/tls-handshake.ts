/** Performs a TLS handshake without a request. */
import { connect, type SecureVersion } from "node:tls";

/** Returns the negotiated protocol and cipher suite, or the error. */
export function tlsHandshake(
  url: string,
  ca: string | undefined,
  minVersion: SecureVersion,
  maxVersion: SecureVersion,
  ciphers?: string,
) {
  const { hostname: host, port } = new URL(url);
  return new Promise<string>((resolve) => {
    // Security level 0, so that a refusal comes from the server and not from this client.
    const suites = `${ciphers ?? "DEFAULT"}:@SECLEVEL=0`;
    const socket = connect({ host, port: Number(port), ca, minVersion, maxVersion, ciphers: suites }, () => {
      resolve(`${socket.getProtocol()} ${socket.getCipher().standardName}`);
      socket.end();
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}
