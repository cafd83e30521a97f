/**
 * What `countersign doctor` looks at, each thing on its own: what is well, what is odd, what will not work, and what to
 * do about it. It changes nothing, sends no message, and asks agents' callbacks nothing but whether they are there.
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
/** Clocks that differ by more make fresh assertions look old, or not yet valid. */
const maxClockSkewMs = 5_000;
const minFreeBytes = 512 * 1024 * 1024;
const maxUnsignedEntries = 1_000;

/** In the order in which one thing makes the next possible. */
export async function runChecks(context: CheckContext): Promise<readonly CheckResult[]> {
  const checks = [checkIssuer, checkClock, checkKeys, checkLog, checkDisk, checkAgents, checkChannels];
  const results = await Promise.all(checks.map((check) => check(context)));
  // Last and alone: while it reads the file, nothing else happens here, and the others have time limits.
  return [...results.flat(), ...(await checkFile(context))];
}

async function checkIssuer({ config }: CheckContext): Promise<CheckResult[]> {
  const about = "issuer";
  const url = `${config.issuer}/.well-known/openid-configuration`;
  try {
    const response = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(timeoutMs) });
    if (response.status !== 200)
      return [fail(about, `${url} answers ${response.status}`, "Is it this server that the proxy leads to?")];
    const { issuer } = (await response.json()) as { issuer?: string };
    if (issuer !== config.issuer)
      return [
        fail(
          about,
          `${url} names the issuer ${issuer}`,
          "Clients refuse that: start with this configuration.",
        ),
      ];
    return [ok(about, `${config.issuer} answers, under its own name`), ...compareClocks(response)];
  } catch (error) {
    const { cause } = error as { cause?: unknown };
    const why = getErrorMessage(cause ?? error);
    return [
      fail(
        about,
        `${url} cannot be reached from here: ${why}`,
        "Is the server started, the name known, the certificate good?",
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
          `whoever answers at the issuer is ${formatSeconds(skewMs)} off this machine's clock`,
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
          "The database's clock counts; agents' assertions are held against it. Synchronise both.",
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
  const summary = `${keyring.jwks().keys.length} published, the newest signs since ${days} days`;
  return [
    days > 365
      ? warn("keys", summary, "countersign keys rotate makes a new one, without a restart.")
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
            `${unsigned} entries are under no checkpoint`,
            "Does the server run, and can log.checkpoint_file be written to?",
          ),
        ]
      : [ok("log", `${size} entries, ${unsigned} of them since the newest checkpoint`)];
  const { checkpointFile } = config.log;
  if (checkpointFile === undefined)
    return [
      ...results,
      warn(
        "log",
        "checkpoints are kept nowhere but in the database",
        "Set log.checkpoint_file, and copy that file to where nobody here can write.",
      ),
    ];
  const writable = await access(dirname(checkpointFile), constants.W_OK).then(
    () => true,
    () => false,
  );
  return writable
    ? results
    : [
        ...results,
        fail("log", `${checkpointFile} cannot be written to`, "Without it no checkpoint is kept."),
      ];
}

async function checkDisk({ config }: CheckContext): Promise<CheckResult[]> {
  if (isPostgres(config.store)) return [];
  const { bavail, bsize } = await statfs(dirname(config.store));
  const freeBytes = bavail * bsize;
  const summary = `${Math.floor(freeBytes / 1024 / 1024)} MB free beside the database`;
  return [
    freeBytes < minFreeBytes
      ? warn("disk", summary, "A full disk stops every answer: make room.")
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
      ? ok("database", "every page and index of the file is in order")
      : fail(
          "database",
          `the database file is corrupt: ${corruption}`,
          "Stop the server, keep the file, and put the newest backup back that is whole.",
        ),
  ];
}

async function checkAgents({ store, outbound, config }: CheckContext): Promise<CheckResult[]> {
  const agents = (await store.list("agent")).map(({ record }) => record);
  if (agents.length === 0) return [warn("agents", "there are none", "countersign agent add lets one in.")];
  const results: CheckResult[] = [];
  for (const { id, delivery, keys, types } of agents) {
    const undeclaredTypes = types.filter((type) => !config.actions.has(type));
    if (undeclaredTypes.length > 0)
      results.push(
        warn(
          `agent ${id}`,
          `is registered for ${undeclaredTypes.join(", ")}, which the configuration no longer declares`,
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
      warn("callbacks", `${abandonedCallbacks.length} were given up`, "countersign callbacks lists them."),
    );
  if (abandonedMessages.length > 0)
    results.push(
      warn("messages", `${abandonedMessages.length} were given up`, "countersign messages lists them."),
    );
  return results.length > 0
    ? results
    : [ok("agents", `${agents.length}, and what they registered is in order`)];
}

/** Any answer will do for a callback: it is asked nothing. Keys have to be there. */
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
        ? "outbound.allow_private lists the private addresses that may be reached."
        : "Ask the agent's operator.",
    );
  return expectedStatus !== undefined && response.status !== expectedStatus
    ? fail(about, `${url} answers ${response.status}`, "Ask the agent's operator.")
    : ok(about, `${url} can be reached`);
}

async function checkChannels({ channels, store }: CheckContext): Promise<CheckResult[]> {
  const approvers = (await store.list("approver")).map(({ record }) => record);
  const withoutDevice: string[] = [];
  for (const { id, email } of approvers)
    if ((await store.listDevicesOf(id)).length === 0) withoutDevice.push(email);
  const results: CheckResult[] = [];
  if (approvers.length === 0)
    results.push(warn("approvers", "there are none", "countersign approver invite names one."));
  else if (withoutDevice.length > 0)
    results.push(
      warn(
        "approvers",
        `${withoutDevice.join(", ")} cannot decide yet: no device`,
        "countersign approver invite makes a new link.",
      ),
    );
  else results.push(ok("approvers", `${approvers.length}, each with a device`));
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
