/** A deployment behind the listeners that `countersign start` opens: real sockets, real TLS, files of their own. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatProblem, parseConfig } from "../../../server/src/config/config.ts";
import { type Listener, listen } from "../../../server/src/http/transport/listener.ts";
import { type Certificates, createCertificates } from "./certificate.ts";
import { type Deployment, deploy } from "./deployment.ts";
import { type ConfigEdit, formatConfig } from "./edit-config.ts";
import { type Caller, freePort, type SecureFetch, secureFetch } from "./tls-fetch.ts";
import { useResource } from "./use-resource.ts";

export type Listeners = {
  readonly deployment: Deployment;
  readonly listener: Listener;
  readonly authority: Certificates;
  readonly issuer: string;
  /** Where clients with a certificate go. */
  readonly mtls: string;
  /** In which the certificates are. */
  readonly folder: string;
  /** Calls with or without a certificate, and believes the test's authority. */
  readonly as: (caller?: Omit<Caller, "ca">) => SecureFetch;
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
  const authority = await createCertificates();
  const folder = mkdtempSync(join(tmpdir(), "countersign-tls-"));
  const { certificate, key } = await authority.forServer("localhost");
  writeFileSync(join(folder, "server.pem"), certificate);
  writeFileSync(join(folder, "server.key"), key, { mode: 0o600 });
  writeFileSync(join(folder, "authority.pem"), authority.ca);
  const [port, mtlsPort] = [await freePort(), await freePort()];
  const at = `${scheme}://localhost:${port}`;
  const deployment = await deploy({ config: { issuer: at, ...configure({ port, mtlsPort, folder }) } });
  // Certificates are good by the machine's clock, and so are clients' assertions.
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
    as: (caller = {}) => secureFetch({ ca: authority.ca, ...caller }),
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
