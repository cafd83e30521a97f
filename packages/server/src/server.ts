/**
 * Countersign's server: the only place where things are wired. `createServer` takes a configuration and answers a
 * `fetch`, so that it runs behind any listener and tests need no socket. It starts the rounds that nobody asks for
 * (sweeping, delivering, signing the log) and ends them.
 */

import { readFileSync } from "node:fs";
import { createProofNonces } from "@countersign/protocol";
import { checkpointFile } from "./channels/checkpoint-file.ts";
import type { Config } from "./config/config.ts";
import { proofUrls } from "./http/dpop.ts";
import { endpoints } from "./http/endpoints/discovery.ts";
import type { HttpGround } from "./http/ground.ts";
import { type App, httpApp, protocolApp } from "./http/http.ts";
import { notificationBody } from "./http/notification.ts";
import { nobody, type Peer } from "./http/peer.ts";
import type { Journal } from "./journal/journal.ts";
import { createAgentKeys } from "./keys/agent-key.ts";
import { type Keyring, openKeyring } from "./keys/keyring.ts";
import { openLoginHintKeys } from "./keys/login-hint-key.ts";
import { createStamp, type OutsideKey } from "./keys/outside-key.ts";
import { createPublishedKeys } from "./keys/published-key.ts";
import { createSeal, sealOfSecrets } from "./keys/seal.ts";
import { createTickets } from "./keys/ticket.ts";
import type { Metrics } from "./metrics/metrics.ts";
import { alignAgents } from "./operations/align.ts";
import { checkpoint } from "./operations/checkpoint.ts";
import { type Channel, deliver } from "./operations/deliver.ts";
import { createDispatch } from "./operations/dispatch.ts";
import { createHolds } from "./operations/hold.ts";
import { createPace } from "./operations/pace.ts";
import { publishTypes } from "./operations/publish.ts";
import { createRounds } from "./operations/round.ts";
import { sweep, sweptKinds } from "./operations/sweep.ts";
import { openTelemetry } from "./operations/trace.ts";
import { callbackPost } from "./outbound/callback.ts";
import { createOutbound } from "./outbound/outbound.ts";
import { openPermission } from "./permission/permission.ts";
import { openStore } from "./store/open.ts";
import type { Store } from "./store/store.ts";

export type Server = {
  /** `peer` is who TLS says is calling; whoever listens knows. */
  readonly fetch: (request: Request, peer?: Peer) => Response | Promise<Response>;
  /** The same for what agents and APIs call, without the pages. */
  readonly protocol: (request: Request, peer?: Peer) => Response | Promise<Response>;
  /** The same two for a listener, which need not make a `Request` of everything. */
  readonly doors: { readonly app: App; readonly protocol: App };
  readonly store: Store;
  readonly keyring: Keyring;
  /** Answers those whose polls are being held, so that a listener can be closed; `close` does too. */
  readonly release: () => void;
  /** Makes every round once, now: for tests. */
  readonly makeRounds: () => Promise<void>;
  readonly close: () => Promise<void>;
};

export type ServerOptions = {
  readonly config: Config;
  readonly outsideKey: OutsideKey;
  /** Hears of every fault, whole, with where it happened. */
  readonly onFault: (fault: unknown, where: string) => void;
  /** Counts what happens, where somebody asks for it. */
  readonly metrics?: Metrics;
  /** Says what happens, where somebody reads it. */
  readonly journal?: Journal;
  /** Make the database where there is none, for tests. */
  readonly createStore?: boolean;
  /** Replaces the system's clock, for tests. */
  readonly clock?: () => number;
  /** How often the rounds are made, in milliseconds. */
  readonly roundMs?: number;
};

export async function createServer(options: ServerOptions): Promise<Server> {
  const { config, outsideKey, onFault, metrics, journal, roundMs = 500 } = options;
  const { caFile, ...reach } = config.outbound;
  const ca = caFile === undefined ? undefined : readFileSync(caFile, "utf8");
  const outbound = createOutbound({ ...reach, ca });
  const loginHintKeys = openLoginHintKeys(config.loginHintIssuers);
  const permission = await openPermission(config, onFault);
  const opened = await openStore({
    location: config.store,
    create: options.createStore === true,
    clock: options.clock,
    onConnection: metrics?.connection,
  });
  const counted = metrics?.observe(opened) ?? opened;
  const store = journal?.observe(counted) ?? counted;
  let ending = false;
  const keyring = await prepare().catch(async (fault) => {
    await store.close();
    throw fault;
  });

  const mail = config.channels.mail && (await openMail(config.channels.mail));
  const channels = new Map<string, Channel>(mail ? [[mail.name, metrics?.attempted(mail) ?? mail]] : []);
  const tickets = createTickets(outsideKey);
  const secrets = sealOfSecrets(outsideKey);
  const holds = createHolds(store);
  const doors = [config.issuer, ...(config.mtls ? [config.mtls.url] : [])].map(endpoints);
  const published = createPublishedKeys(() => store.now(), outbound, onFault);
  const ground: HttpGround = {
    config,
    store,
    keyring,
    signer: keyring.signer,
    agentKeys: createAgentKeys(() => store.now(), secrets, published),
    secrets,
    loginHintKeys,
    tickets,
    pace: createPace(config.limits.pollIntervalSeconds),
    holds,
    party: config.passkeys,
    audiences: new Set([config.issuer, ...doors.flatMap((at) => [at.token, at.bcAuthorize, at.revoke])]),
    proofUrls: proofUrls(doors.map(({ token }) => token)),
    nonces: config.dpop.requireNonce
      ? createProofNonces(createStamp(outsideKey, "dpop-nonce").make)
      : undefined,
    csrf: createStamp(outsideKey, "csrf"),
    ceremonies: createStamp(outsideKey, "ceremony"),
    callbackSeal: createSeal(outsideKey, "callbacks"),
    outbound,
    answered: both(metrics?.answered, journal?.answered),
    ready: async () => !ending && (await isAnswering(store)),
    permission,
    onFault,
  };
  const tracing = openTelemetry() && (await import("./http/trace.ts"));
  const app = httpApp(ground, tracing);
  const protocol = protocolApp(ground, tracing);

  const courier = { write: notificationBody, post: callbackPost(outbound) };
  const dispatch = createDispatch({ ...ground, courier }, onFault);
  const publish = checkpointFile(config.log.checkpointFile);
  const rounds = createRounds(
    store,
    [
      { name: "sweep", when: sweptKinds, work: (found) => sweep(store, found) },
      { name: "deliver", when: ["message"], work: () => deliver({ store, channels }) },
      { name: "notify", when: ["callback"], work: () => dispatch.round() },
      {
        name: "checkpoint",
        when: ["log"],
        work: () => checkpoint({ store, signCheckpoint: keyring.signCheckpoint, publish }),
      },
      { name: "keys", when: { everyMs: 30_000 }, work: () => keyring.reload() },
    ],
    roundMs,
    onFault,
  );

  /** What has to be in the store before anybody is answered. */
  async function prepare(): Promise<Keyring> {
    const ring = await openKeyring(store, outsideKey, config.issuer, config.log.origin);
    await publishTypes(store, config);
    await alignAgents(store, config);
    return ring;
  }

  /** Loaded only where it is configured: a mail program is a good part of what starting takes. */
  async function openMail(settings: NonNullable<Config["channels"]["mail"]>) {
    const { mailChannel } = await import("./channels/mail.ts");
    return mailChannel(settings, config.issuer, () => store.now());
  }

  return {
    fetch: (request, peer = nobody) => app.fetch(request, peer),
    protocol: (request, peer = nobody) => protocol.fetch(request, peer),
    doors: { app, protocol },
    store,
    keyring,
    release: () => {
      ending = true;
      holds.release();
    },
    makeRounds: async () => {
      await rounds.make();
      await dispatch.idle();
    },
    close: async () => {
      holds.release();
      await Promise.all([rounds.stop(), dispatch.stop()]);
      mail?.close();
      await store.close();
    },
  };
}

type Answered = NonNullable<HttpGround["answered"]>;

/** Undefined where nobody listens, so that nothing is measured. */
function both(one: Answered | undefined, other: Answered | undefined): Answered | undefined {
  if (!one || !other) return one ?? other;
  return (...answer) => {
    one(...answer);
    other(...answer);
  };
}

/** Whether the store answers at all: one read that an index answers. */
async function isAnswering(store: Store): Promise<boolean> {
  try {
    await store.read("agent", "");
    return true;
  } catch {
    return false;
  }
}
