/** A deployment behind the listeners that `countersign start` opens: real sockets, real TLS, files of their own. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatProblem, parseConfig } from "../../../server/src/config/config.ts";
import { type Listener, listen } from "../../../server/src/http/transport/listener.ts";
import { type Certificates, createCertificates } from "./certificate.ts";
import { type Deployment, deploy, issuer, rules } from "./deployment.ts";
import { type Caller, freePort, type SecureFetch, secureFetch } from "./tls-fetch.ts";

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

/** Lines of the configuration in which `$port`, `$mtls` and `$folder` stand for what they are called. */
export async function openListeners(lines: string, main = "https"): Promise<Listeners> {
  const authority = await createCertificates();
  const folder = mkdtempSync(join(tmpdir(), "countersign-tls-"));
  const { certificate, key } = await authority.forServer("localhost");
  writeFileSync(join(folder, "server.pem"), certificate);
  writeFileSync(join(folder, "server.key"), key, { mode: 0o600 });
  writeFileSync(join(folder, "authority.pem"), authority.ca);
  const [port, second] = [await freePort(), await freePort()];
  const own = lines
    .replaceAll("$folder", folder)
    .replaceAll("$port", `${port}`)
    .replaceAll("$mtls", `${second}`);
  const at = `${main}://localhost:${port}`;
  const text = rules.replaceAll(issuer, at).replace(/^listen: .*$/m, own);
  const deployment = await deploy(text);
  // Certificates are good by the machine's clock, and so are clients' assertions.
  Object.defineProperty(deployment.clock, "now", { get: () => Date.now() });
  const read = parseConfig(text, join(folder, "countersign.yaml"));
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
