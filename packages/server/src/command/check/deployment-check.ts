/**
 * What `countersign doctor` looks at, each thing on its own: what is well, what is odd, what will not work, and what to
 * do about it. It changes nothing, sends no message, and asks agents' callbacks nothing but whether they are there.
 */
import { access, constants, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { Config } from "../../config/config.ts";
import { isPostgres } from "../../config/url-check.ts";
import type { Outbound } from "../../outbound/outbound.ts";
import type { Store } from "../../store/store.ts";
import type { Keyring } from "../../usecase/key/keyring.ts";
import { messageOf } from "../cli/deployment.ts";

export type CheckResult = {
  readonly about: string;
  readonly state: "ok" | "warn" | "fail";
  readonly summary: string;
  /** What to do, where there is something to do. */
  readonly remedy?: string;
};

export type CheckContext = {
  readonly config: Config;
  readonly store: Store;
  readonly keyring: Keyring;
  readonly outbound: Outbound;
  /** Whether the mail server takes a connection and the account. Rejects with why not. */
  readonly tryMail?: (() => Promise<unknown>) | undefined;
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
export async function runChecks(patient: CheckContext): Promise<readonly CheckResult[]> {
  const parts = [checkIssuer, checkClock, checkKeys, checkLog, checkDisk, checkAgents, checkChannels];
  const findings = await Promise.all(parts.map((part) => part(patient)));
  // Last and alone: while it reads the file, nothing else happens here, and the others have time limits.
  return [...findings.flat(), ...(await checkFile(patient))];
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
    const why = messageOf(cause ?? error);
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
  const said = Date.parse(response.headers.get("date") ?? "");
  if (Number.isNaN(said)) return [];
  const apart = Math.abs(said - Date.now());
  return apart > maxClockSkewMs
    ? [
        fail(
          "clock",
          `whoever answers at the issuer is ${seconds(apart)} off this machine's clock`,
          "Synchronise the clocks (NTP).",
        ),
      ]
    : [];
}

async function checkClock({ store }: CheckContext): Promise<CheckResult[]> {
  const apart = store.now() - Date.now();
  return Math.abs(apart) > maxClockSkewMs
    ? [
        warn(
          "clock",
          `the database is ${seconds(Math.abs(apart))} ${apart > 0 ? "ahead of" : "behind"} this machine`,
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
  const signs = `${keyring.jwks().keys.length} published, the newest signs since ${days} days`;
  return [
    days > 365
      ? warn("keys", signs, "countersign keys rotate makes a new one, without a restart.")
      : ok("keys", signs),
  ];
}

async function checkLog({ store, config }: CheckContext): Promise<CheckResult[]> {
  const [size, newest] = [await store.log.size(), await store.log.newestCheckpoint()];
  const unsigned = size - (newest?.size ?? 0);
  const findings =
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
      ...findings,
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
    ? findings
    : [
        ...findings,
        fail("log", `${checkpointFile} cannot be written to`, "Without it no checkpoint is kept."),
      ];
}

async function checkDisk({ config }: CheckContext): Promise<CheckResult[]> {
  if (isPostgres(config.store)) return [];
  const { bavail, bsize } = await statfs(dirname(config.store));
  const free = bavail * bsize;
  const summary = `${Math.floor(free / 1024 / 1024)} MB free beside the database`;
  return [
    free < minFreeBytes
      ? warn("disk", summary, "A full disk stops every answer: make room.")
      : ok("disk", summary),
  ];
}

async function checkFile({ config }: CheckContext): Promise<CheckResult[]> {
  if (isPostgres(config.store)) return [];
  const { findCorruption: damageIn } = await import("../../store/sqlite/integrity.ts");
  let damage: string | undefined;
  try {
    damage = damageIn(config.store);
  } catch (error) {
    damage = messageOf(error);
  }
  return [
    damage === undefined
      ? ok("database", "every page and index of the file is in order")
      : fail(
          "database",
          `the file is damaged: ${damage}`,
          "Stop the server, keep the file, and put the newest backup back that is whole.",
        ),
  ];
}

async function checkAgents({ store, outbound, config }: CheckContext): Promise<CheckResult[]> {
  const agents = (await store.list("agent")).map(({ record }) => record);
  if (agents.length === 0) return [warn("agents", "there are none", "countersign agent add lets one in.")];
  const findings: CheckResult[] = [];
  for (const { id, delivery, keys, types } of agents) {
    const gone = types.filter((type) => !config.actions.has(type));
    if (gone.length > 0)
      findings.push(
        warn(
          `agent ${id}`,
          `is registered for ${gone.join(", ")}, which the configuration no longer declares`,
          `countersign agent change ${id} --type …`,
        ),
      );
    if (delivery.mode !== "poll")
      findings.push(await reach(`callback of ${id}`, delivery.endpoint, outbound));
    if (keys?.from === "uri") findings.push(await reach(`keys of ${id}`, keys.uri, outbound, 200));
  }
  const [given, waiting] = [await store.listAbandonedCallbacks(100), await store.listAbandonedMessages(100)];
  if (given.length > 0)
    findings.push(warn("callbacks", `${given.length} were given up`, "countersign callbacks lists them."));
  if (waiting.length > 0)
    findings.push(warn("messages", `${waiting.length} were given up`, "countersign messages lists them."));
  return findings.length > 0
    ? findings
    : [ok("agents", `${agents.length}, and what they registered is in order`)];
}

/** Any answer will do for a callback: it is asked nothing. Keys have to be there. */
async function reach(about: string, url: string, outbound: Outbound, wanted?: number): Promise<CheckResult> {
  const answer = await outbound({ url, method: "GET", maxBytes: 0, timeoutMs: timeoutMs });
  if ("failed" in answer)
    return fail(
      about,
      `${url}: ${answer.why}`,
      answer.failed === "refused"
        ? "outbound.allow_private summary which inside addresses may be reached."
        : "Ask whoever runs the agent.",
    );
  return wanted !== undefined && answer.status !== wanted
    ? fail(about, `${url} answers ${answer.status}`, "Ask whoever runs the agent.")
    : ok(about, `${url} can be reached`);
}

async function checkChannels({ tryMail, store }: CheckContext): Promise<CheckResult[]> {
  const approvers = (await store.list("approver")).map(({ record }) => record);
  const without: string[] = [];
  for (const { id, email } of approvers)
    if ((await store.listDevicesOf(id)).length === 0) without.push(email);
  const findings: CheckResult[] = [];
  if (approvers.length === 0)
    findings.push(warn("approvers", "there are none", "countersign approver invite names one."));
  else if (without.length > 0)
    findings.push(
      warn(
        "approvers",
        `${without.join(", ")} cannot decide yet: no device`,
        "countersign approver invite makes a new link.",
      ),
    );
  else findings.push(ok("approvers", `${approvers.length}, each with a device`));
  if (!tryMail)
    return [
      ...findings,
      warn("mail", "is not set up: approvers see requests only in an open inbox", "Set channels.mail."),
    ];
  return await tryMail().then(
    () => [...findings, ok("mail", "the server takes our connection and account")],
    (error: unknown) => [
      ...findings,
      fail("mail", messageOf(error), "Nobody hears of requests until that is mended."),
    ],
  );
}

const seconds = (ms: number) => `${Math.round(ms / 1000)} s`;
