/**
 * The checks of `countersign doctor`: reachability, clocks, keys, log, files, agents, approvers, channels. They change nothing,
 * send no message, and only connect to agents' callbacks.
 */
import { access, constants, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { getErrorMessage } from "@countersign/protocol";
import type { CheckResult, OpenChannel } from "../../channel/channel.ts";
import type { Config } from "../../config/config.ts";
import { isPostgres } from "../../config/url-check.ts";
import type { Outbound } from "../../outbound/outbound.ts";
import type { Store } from "../../store/store.ts";
import type { Keyring } from "../../usecase/key/keyring.ts";

export type CheckContext = {
  readonly config: Config;
  readonly store: Store;
  readonly keyring: Keyring;
  readonly outbound: Outbound;
  /** The configured channels, by name. */
  readonly channels: ReadonlyMap<string, OpenChannel>;
};

const ok = (about: string, summary: string): CheckResult => ({ about, state: "ok", summary });
const warn = (about: string, summary: string, remedy: string): CheckResult => ({
  about,
  state: "warn",
  summary,
  remedy,
});
const fail = (about: string, summary: string, remedy: string): CheckResult => ({
  about,
  state: "fail",
  summary,
  remedy,
});

const timeoutMs = 5_000;
/** With a larger difference, valid assertions look expired or not yet valid. */
const maxClockSkewMs = 5_000;
const minFreeBytes = 512 * 1024 * 1024;
const maxUnsignedEntries = 1_000;

/** Runs all checks. Results are in the order in which an operator should fix them. */
export async function runChecks(context: CheckContext): Promise<readonly CheckResult[]> {
  const checks = [checkIssuer, checkClock, checkKeys, checkLog, checkDisk, checkAgents, checkChannels];
  const results = await Promise.all(checks.map((check) => check(context)));
  // Last and alone: reading the file blocks the event loop, and the other checks have timeouts.
  return [...results.flat(), ...(await checkFile(context))];
}

async function checkIssuer({ config }: CheckContext): Promise<CheckResult[]> {
  const about = "issuer";
  const url = `${config.issuer}/.well-known/openid-configuration`;
  try {
    const response = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(timeoutMs) });
    if (response.status !== 200)
      return [
        fail(
          about,
          `${url} returns status ${response.status}`,
          "Check that the proxy forwards to this server.",
        ),
      ];
    const { issuer } = (await response.json()) as { issuer?: string };
    if (issuer !== config.issuer)
      return [
        fail(
          about,
          `${url} has the issuer ${issuer}`,
          "Clients reject it. Restart the server with this configuration.",
        ),
      ];
    return [ok(about, `${config.issuer} is reachable and has this issuer`), ...compareClocks(response)];
  } catch (error) {
    const { cause } = error as { cause?: unknown };
    const why = getErrorMessage(cause ?? error);
    return [
      fail(
        about,
        `${url} cannot be reached from here: ${why}`,
        "Check that the server runs, that the name resolves, and that the certificate is valid.",
      ),
    ];
  }
}

function compareClocks(response: Response): CheckResult[] {
  const serverTimeMs = Date.parse(response.headers.get("date") ?? "");
  if (Number.isNaN(serverTimeMs)) return [];
  const skewMs = Math.abs(serverTimeMs - Date.now());
  return skewMs > maxClockSkewMs
    ? [
        fail(
          "clock",
          `the server at the issuer URL and this machine differ by ${formatSeconds(skewMs)}`,
          "Synchronise the clocks (NTP).",
        ),
      ]
    : [];
}

async function checkClock({ store }: CheckContext): Promise<CheckResult[]> {
  const skewMs = store.now() - Date.now();
  return Math.abs(skewMs) > maxClockSkewMs
    ? [
        warn(
          "clock",
          `the database is ${formatSeconds(Math.abs(skewMs))} ${skewMs > 0 ? "ahead of" : "behind"} this machine`,
          "Agents' assertions are checked by the database's clock. Synchronise both clocks (NTP).",
        ),
      ]
    : [ok("clock", "the database and this machine agree on the time")];
}

async function checkKeys({ store, keyring }: CheckContext): Promise<CheckResult[]> {
  const active = (await store.list("key")).filter(
    ({ record }) => record.purpose === "token" && record.activeAt <= store.now(),
  );
  const newest = Math.max(...active.map(({ record }) => record.activeAt));
  const days = Math.floor((store.now() - newest) / 86_400_000);
  const summary = `${keyring.jwks().keys.length} published; the newest has signed for ${days} days`;
  return [
    days > 365
      ? warn("keys", summary, "Create a new key with countersign keys rotate; no restart is needed.")
      : ok("keys", summary),
  ];
}

async function checkLog({ store, config }: CheckContext): Promise<CheckResult[]> {
  const [size, newest] = [await store.log.size(), await store.log.newestCheckpoint()];
  const unsigned = size - (newest?.size ?? 0);
  const results =
    unsigned > maxUnsignedEntries
      ? [
          fail(
            "log",
            `${unsigned} entries are not covered by a checkpoint`,
            "Check that the server runs and that log.checkpoint_file is writable.",
          ),
        ]
      : [ok("log", `${size} entries, ${unsigned} of them after the newest checkpoint`)];
  const { checkpointFile } = config.log;
  if (checkpointFile === undefined)
    return [
      ...results,
      warn(
        "log",
        "checkpoints are only in the database",
        "Set log.checkpoint_file, and copy that file to a system that this one cannot write to.",
      ),
    ];
  const writable = await access(dirname(checkpointFile), constants.W_OK).then(
    () => true,
    () => false,
  );
  return writable
    ? results
    : [...results, fail("log", `${checkpointFile} is not writable`, "No checkpoint is signed until it is.")];
}

async function checkDisk({ config }: CheckContext): Promise<CheckResult[]> {
  if (isPostgres(config.store)) return [];
  const { bavail, bsize } = await statfs(dirname(config.store));
  const freeBytes = bavail * bsize;
  const summary = `${Math.floor(freeBytes / 1024 / 1024)} MB free beside the database`;
  return [
    freeBytes < minFreeBytes
      ? warn("disk", summary, "Free some space: with a full disk the server rejects every change.")
      : ok("disk", summary),
  ];
}

async function checkFile({ config }: CheckContext): Promise<CheckResult[]> {
  if (isPostgres(config.store)) return [];
  const { findCorruption } = await import("../../store/sqlite/integrity.ts");
  let corruption: string | undefined;
  try {
    corruption = findCorruption(config.store);
  } catch (error) {
    corruption = getErrorMessage(error);
  }
  return [
    corruption === undefined
      ? ok("database", "no page or index of the file is damaged")
      : fail(
          "database",
          `the database file is corrupt: ${corruption}`,
          "Stop the server, keep the file, and restore the newest valid backup.",
        ),
  ];
}

async function checkAgents({ store, outbound, config }: CheckContext): Promise<CheckResult[]> {
  const agents = (await store.list("agent")).map(({ record }) => record);
  if (agents.length === 0)
    return [warn("agents", "no agent is registered", "Register one with countersign agent add.")];
  const results: CheckResult[] = [];
  for (const { id, delivery, keys, types } of agents) {
    const undeclaredTypes = types.filter((type) => !config.actions.has(type));
    if (undeclaredTypes.length > 0)
      results.push(
        warn(
          `agent ${id}`,
          `is registered for ${undeclaredTypes.join(", ")}, which the configuration does not declare`,
          `countersign agent change ${id} --type …`,
        ),
      );
    if (delivery.mode !== "poll")
      results.push(await checkReachable(`callback of ${id}`, delivery.endpoint, outbound));
    if (keys?.from === "uri") results.push(await checkReachable(`keys of ${id}`, keys.uri, outbound, 200));
  }
  const [abandonedCallbacks, abandonedMessages] = [
    await store.listAbandonedCallbacks(100),
    await store.listAbandonedMessages(100),
  ];
  if (abandonedCallbacks.length > 0)
    results.push(
      warn("callbacks", `${abandonedCallbacks.length} abandoned`, "List them with countersign callbacks."),
    );
  if (abandonedMessages.length > 0)
    results.push(
      warn("messages", `${abandonedMessages.length} abandoned`, "List them with countersign messages."),
    );
  return results.length > 0 ? results : [ok("agents", `${agents.length} registered; no problem found`)];
}

/** Checks that a URL responds. A callback endpoint may respond with any status; a JWK Set must respond with 200. */
async function checkReachable(
  about: string,
  url: string,
  outbound: Outbound,
  expectedStatus?: number,
): Promise<CheckResult> {
  const response = await outbound({ url, method: "GET", maxBytes: 0, timeoutMs: timeoutMs });
  if ("failed" in response)
    return fail(
      about,
      `${url}: ${response.why}`,
      response.failed === "refused"
        ? "If the address is private, add its range to outbound.allow_private."
        : "Contact the agent's operator.",
    );
  return expectedStatus !== undefined && response.status !== expectedStatus
    ? fail(about, `${url} returns status ${response.status}`, "Contact the agent's operator.")
    : ok(about, `${url} is reachable`);
}

async function checkChannels({ channels, store }: CheckContext): Promise<CheckResult[]> {
  const approvers = (await store.list("approver")).map(({ record }) => record);
  const withoutDevice: string[] = [];
  for (const { id, email } of approvers)
    if ((await store.listDevicesOf(id)).length === 0) withoutDevice.push(email);
  const results: CheckResult[] = [];
  if (approvers.length === 0)
    results.push(
      warn("approvers", "no approver is enrolled", "Invite one with countersign approver invite."),
    );
  else if (withoutDevice.length > 0)
    results.push(
      warn(
        "approvers",
        `${withoutDevice.join(", ")} cannot decide: no device is enrolled`,
        "Create a new link with countersign approver invite.",
      ),
    );
  else results.push(ok("approvers", `${approvers.length}, all with a device`));
  if (channels.size === 0)
    return [
      ...results,
      warn(
        "channels",
        "none is configured: approvers see requests only in an open inbox",
        "Add a channel under channels.",
      ),
    ];
  const checked = await Promise.all([...channels.values()].map((channel) => channel.check()));
  return [...results, ...checked.flat()];
}

const formatSeconds = (ms: number) => `${Math.round(ms / 1000)} s`;
