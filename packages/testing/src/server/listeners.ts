/** A deployment behind the listeners that `countersign start` opens: sockets and TLS. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatProblem, parseConfig } from "../../../server/src/config/config.ts";
import { type Listener, listen } from "../../../server/src/http/transport/listener.ts";
import { type CertificateAuthority, createCertificateAuthority } from "./certificate.ts";
import { type Deployment, deploy } from "./deployment.ts";
import { type ConfigEdit, formatConfig } from "./edit-config.ts";
import { createTlsFetch, findFreePort, type TlsFetch, type TlsFetchOptions } from "./tls-fetch.ts";
import { useResource } from "./use-resource.ts";

export type Listeners = {
  readonly deployment: Deployment;
  readonly listener: Listener;
  readonly authority: CertificateAuthority;
  readonly issuer: string;
  /** The URL for clients with a certificate. */
  readonly mtls: string;
  /** Contains the certificates. */
  readonly folder: string;
  /** Creates a `fetch` that trusts the authority, with or without a client certificate. */
  readonly createFetch: (caller?: Omit<TlsFetchOptions, "ca">) => TlsFetch;
  readonly close: () => Promise<void>;
};

/** The addresses and files that a configuration of listeners refers to. */
export type ListenerSettings = {
  readonly port: number;
  readonly mtlsPort: number;
  /** Contains `server.pem`, `server.key` and `authority.pem`. */
  readonly folder: string;
};

/** Opens the listeners of an edited configuration; `scheme` is the issuer's. */
export async function openListeners(
  configure: (settings: ListenerSettings) => ConfigEdit,
  scheme: "http" | "https" = "https",
): Promise<Listeners> {
  const authority = await createCertificateAuthority();
  const folder = mkdtempSync(join(tmpdir(), "countersign-tls-"));
  const { certificate, key } = await authority.issueForServer("localhost");
  writeFileSync(join(folder, "server.pem"), certificate);
  writeFileSync(join(folder, "server.key"), key, { mode: 0o600 });
  writeFileSync(join(folder, "authority.pem"), authority.ca);
  const [port, mtlsPort] = [await findFreePort(), await findFreePort()];
  const at = `${scheme}://localhost:${port}`;
  const deployment = await deploy({ config: { issuer: at, ...configure({ port, mtlsPort, folder }) } });
  // Certificates and client assertions are validated by the machine's clock.
  Object.defineProperty(deployment.clock, "now", { get: () => Date.now() });
  const read = parseConfig(formatConfig(deployment.config), join(folder, "countersign.yaml"));
  if ("problems" in read) throw new Error(read.problems.map(formatProblem).join("\n"));
  const listener = await listen(read.config, deployment.server.apps, (fault) =>
    deployment.faults.push(fault),
  );
  if ("refused" in listener) throw new Error(listener.refused);
  return {
    deployment,
    listener,
    authority,
    issuer: at,
    mtls: read.config.mtls?.url ?? at,
    folder,
    createFetch: (caller = {}) => createTlsFetch({ ca: authority.ca, ...caller }),
    close: async () => {
      await listener.close(0);
      await deployment.close();
      rmSync(folder, { recursive: true });
    },
  };
}

/** Opens listeners before the tests and closes them after them; a fault fails the file. */
export function useListeners(...options: Parameters<typeof openListeners>): Listeners {
  return useResource(
    () => openListeners(...options),
    async ({ deployment, close }) => {
      assert.deepEqual(deployment.faults, []);
      await close();
    },
  );
}
