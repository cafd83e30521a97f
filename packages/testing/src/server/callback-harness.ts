/** A deployment whose agents receive callbacks (ping, push) at an HTTPS server on loopback, certified by a test CA. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cibaGrantType, type Entry } from "@countersign/protocol";
import { exportLog, verifyLog } from "../../../server/src/audit/audit.ts";
import { type Receiver, startReceiver } from "./callback-receiver.ts";
import { createCertificateAuthority } from "./certificate.ts";
import { type Deployment, deploy, type HttpReply, type Person, toBasicAuth } from "./deployment.ts";
import { useResource } from "./use-resource.ts";

/** A configuration edit with which the server may call endpoints on loopback that the CA in the file certifies. */
export const allowLoopback = (caFile: string) => ({
  outbound: { allow_private: ["127.0.0.0/8", "::1/128"], ca_file: caFile },
});

/** A reversible action, so that its tokens may be pushed. */
const rollout = {
  api: "refunds",
  schema: {
    type: "object",
    additionalProperties: false,
    required: ["service"],
    properties: { service: { type: "string", maxLength: 40 } },
  },
  bound: ["service"],
  display: { sentence: "Roll out {service}", rows: [{ label: "Service", field: "service" }] },
  reversibility: "reversible",
  approvers: { groups: ["finance"] },
  level: "session",
  lifetime: { default: 120, max: 600 },
  token_lifetime: 60,
};

export type CallbackAgent = {
  readonly id: string;
  readonly secret: string;
  /** Asks for another rollout and returns the response. */
  readonly ask: (
    changed?: Readonly<Record<string, string | undefined>>,
    headers?: Readonly<Record<string, string>>,
  ) => Promise<HttpReply>;
  readonly poll: (authReqId: string) => Promise<HttpReply>;
};

export type CallbackHarness = {
  readonly deployment: Deployment;
  readonly receiver: Receiver;
  readonly ada: Person;
  /** The file of the CA in the configuration. */
  readonly caFile: string;
  readonly registerAgent: (
    id: string,
    mode: "poll" | "ping" | "push",
    path?: string,
  ) => Promise<CallbackAgent>;
  /** Returns the audit entries of one request, oldest first. */
  readonly readEntries: (requestId: string) => Promise<readonly Entry[]>;
  /** Advances the clock by this many milliseconds and runs all jobs. */
  readonly advance: (ms: number) => Promise<void>;
  readonly close: () => Promise<void>;
};

export const createNotificationToken = () => randomBytes(32).toString("base64url");

/** Starts a deployment whose agents are called; `store` is its location, by default a SQLite file. */
export async function createCallbackHarness(store?: string): Promise<CallbackHarness> {
  const certificates = await createCertificateAuthority();
  const folder = mkdtempSync(join(tmpdir(), "countersign-ca-"));
  const caFile = join(folder, "ca.pem");
  writeFileSync(caFile, certificates.ca);
  const receiver = await startReceiver(certificates);
  const deployment = await deploy({
    config: { ...allowLoopback(caFile), actions: { rollout }, ...(store !== undefined && { store }) },
  });
  const ada = await deployment.enrol("ada@example.com");
  let asks = 0;

  return {
    deployment,
    receiver,
    ada,
    caFile,
    registerAgent: async (id, mode, path = "/cb") => {
      const { secret } = await deployment.registerAgent(id, {
        authorization_details_types: ["rollout"],
        scope: "openid",
        backchannel_token_delivery_mode: mode,
        ...(mode !== "poll" && { backchannel_client_notification_endpoint: receiver.origin + path }),
      });
      return {
        id,
        secret,
        ask: (changed = {}, headers = {}) => {
          asks += 1;
          const details = [{ type: "rollout", service: `service-${asks}` }];
          return deployment.ask(
            {
              authorization_details: JSON.stringify(details),
              client_notification_token: createNotificationToken(),
              ...changed,
            },
            { ...toBasicAuth({ id, secret }), ...headers },
          );
        },
        poll: (authReqId) =>
          deployment.post(
            "/oauth/token",
            { grant_type: cibaGrantType, auth_req_id: authReqId },
            toBasicAuth({ id, secret }),
          ),
      };
    },
    readEntries: async (requestId) => {
      const logged = await deployment.server.store.log.newest(100, requestId);
      return logged.map(({ line }) => JSON.parse(line) as Entry).reverse();
    },
    advance: async (ms) => {
      deployment.clock.now += ms;
      await deployment.server.runJobs();
    },
    close: async () => {
      try {
        await checkLog(deployment);
        assert.deepEqual(deployment.faults, []);
      } finally {
        await deployment.close();
        await receiver.close();
        rmSync(folder, { recursive: true });
      }
    },
  };
}

/** Verifies the audit log. */
async function checkLog(deployment: Deployment): Promise<void> {
  await deployment.server.runJobs();
  const { store, keyring } = deployment.server;
  const verified = await verifyLog(exportLog(store.log, keyring.logKey), { key: keyring.logKey });
  assert.ok("ok" in verified, JSON.stringify(verified, undefined, 2));
}

/** Starts the deployment before the tests and closes it after them. */
export function useCallbackHarness(store?: () => string): CallbackHarness {
  return useResource(
    () => createCallbackHarness(store?.()),
    ({ close }) => close(),
  );
}
