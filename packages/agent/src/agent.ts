/**
 * The SDK for the one who asks. An agent that meets something it may not do on its own asks a person, waits, and
 * turns the answer into a token for that one action: `ask`, `wait`, `redeem`, and `countersigned`, which does all three
 * around a function of yours. It speaks CIBA (OpenID Connect CIBA Core 1.0) in all its modes: it polls, or `receive`s
 * pings and pushes; with authorization details (RFC 9396). It never chooses an approver, never asks a second time on its own after a no or a silence, never runs
 * anything without a token in its hand, and never guesses what became of an answer that did not arrive.
 */
import { InvalidArgumentError } from "@countersign/protocol";
import type { Actions } from "./action.ts";
import { type Ask, type Asked, ask, type NewAsk } from "./ask.ts";
import { createCallback } from "./callback.ts";
import {
  type ClientAuthenticationMethod,
  type Credentials,
  createClientAuthentication,
  isByCertificate,
} from "./client-authentication.ts";
import { type Clock, machineClock } from "./clock.ts";
import { type Abortable, createConnection, rejectAborted } from "./connection.ts";
import { countersigned, type Run, type RunOptions, type StoredRunOptions } from "./countersigned.ts";
import { createProver, type DpopKey } from "./dpop.ts";
import { createPushCheck } from "./push.ts";
import { type CallbackOptions, createReceiver, type Receive } from "./receive.ts";
import { type Countersigned, type Outcome, type Redemption, redeemOnce } from "./redeem.ts";
import { createSigner, type PrivateKey, type Sign } from "./signing-key.ts";
import { wait } from "./wait.ts";

export {
  AbortError,
  AuthenticationError,
  CountersignError,
  type ErrorCode,
  GrantMismatchError,
  InvalidArgumentError,
  MetadataError,
  NetworkError,
  ResponseError,
  TimeoutError,
} from "@countersign/protocol";
export type { Action, Actions, Granted } from "./action.ts";
export type { Ask, Asked, NewAsk } from "./ask.ts";
export type { Credentials } from "./client-authentication.ts";
export type { Clock } from "./clock.ts";
export type { Abortable } from "./connection.ts";
export type { AskStore, Run, RunOptions, StoredRunOptions } from "./countersigned.ts";
export type { DpopKey } from "./dpop.ts";
export type { CallbackOptions, Receive } from "./receive.ts";
export type {
  Countersigned,
  Denied,
  Expired,
  Outcome,
  Pending,
  Redemption,
  ResponseLost,
} from "./redeem.ts";
export type { AskRefused } from "./refusal.ts";
export type { PrivateKey, SigningAlgorithm } from "./signing-key.ts";
export type { Approved } from "./token-response.ts";

export type AgentOptions = {
  /**
   * How the agent proves itself: what it is registered for. Without it, `client_secret_basic` for a secret and
   * `private_key_jwt` for a key.
   */
  readonly clientAuthentication?: ClientAuthenticationMethod;
  /** Signs each ask whole (CIBA §7.1.1), with a key of its own or, `true`, with the credentials' private key. */
  readonly signRequests?: boolean | PrivateKey;
  /** Has tokens bound to a key (RFC 9449): to this one or, `true`, to one that never leaves this process. */
  readonly dpop?: boolean | DpopKey;
  /** Tokens are bound to the certificate that `fetch` presents (RFC 8705 §3), and the API asks for the same one. */
  readonly certificateBound?: boolean;
  /**
   * For how many seconds `wait` lets the server hold each token request until there is an answer (`Prefer: wait`, RFC
   * 7240): 25 unless said otherwise, 0 for not at all. A server that does not do so is polled at its interval.
   */
  readonly longPollSeconds?: number;
  /**
   * For an agent that is registered for ping or push: an endpoint of yours hands its requests to `receive`. A ping wakes
   * whoever waits; should one be lost, `wait` still asks now and then.
   */
  readonly callback?: CallbackOptions;
  /** Used instead of the global `fetch`: to go through a proxy, or to present a client certificate. */
  readonly fetch?: typeof fetch;
  /**
   * Lets the issuer be `http:` beyond this machine. Secrets and tokens then travel in clear: for closed networks
   * only.
   */
  readonly allowHttp?: boolean;
  /** Used instead of the machine's clock: in tests, or where a workflow engine's sleep survives a restart. */
  readonly clock?: Clock;
};

export interface Agent {
  /**
   * Asks, and comes back at once: with the ask, or with why nobody was asked. Lost connections and 503 are tried
   * again, up to four times; the idempotency key makes that safe, since the same key never asks anybody twice.
   * Rejects when no answer was to be had (`cause` says why), and with a TypeError for an action that is not plain JSON.
   */
  ask<A extends Actions>(wanted: NewAsk<A>, options?: Abortable): Promise<Asked<A>>;

  /**
   * One token request (CIBA §10.1): how the ask stands. Go on with `ask` from a `pending` answer, not before `retryAt`.
   * Rejects when no answer arrived; nothing is known then, and the next request tells: `lost` if this one had been
   * redeemed. Rejects too when the server hands out something other than what was asked, which is never used. An agent
   * that is pushed to makes no request, and is told of what has come.
   */
  redeem<A extends Actions>(ask: Ask<A>, options?: Abortable): Promise<Redemption<A>>;

  /**
   * Polls until it is over, at the server's pace (`interval`, `slow_down`, `Retry-After`), through lost connections; a
   * server that holds requests answers the moment there is a decision. With a callback it waits to be told instead. Whether
   * the time is up is for the server to say. Rejects if there was no word from it for a minute after the ask must have
   * ended; `wait` again later.
   */
  wait<A extends Actions>(ask: Ask<A>, options?: Abortable): Promise<Outcome<A>>;

  /**
   * Takes in what the server sends to the agent's callback endpoint (CIBA §10.2, §10.3): a web-standard handler, for Hono,
   * Next and whatever else has `Request` and `Response`; `@countersign/agent/express` adapts it. Without `callback` in the
   * options it answers 404.
   */
  readonly receive: Receive;

  /**
   * Asks, waits, and if approved hands the granted action and its token to `run`, once. Whatever `run` throws is
   * thrown on. With a `store` the ask outlives this process: call again with the same `idempotencyKey` and it is
   * taken up where it was, without asking anybody twice. The outcome `lost` then says that `run` may have run.
   */
  countersigned<A extends Actions, R>(
    wanted: NewAsk<A> & { readonly idempotencyKey: string },
    run: Run<A, R>,
    options: StoredRunOptions,
  ): Promise<Countersigned<R>>;
  countersigned<A extends Actions, R>(
    wanted: NewAsk<A>,
    run: Run<A, R>,
    options?: RunOptions,
  ): Promise<Countersigned<R>>;
}

/**
 * An agent by its credentials, as `countersign agent add` gave them out. Reads the server's metadata when first
 * needed. Throws a TypeError for an issuer that is no URL, or is `http:` beyond this machine.
 */
export function createAgent(credentials: Credentials, options: AgentOptions = {}): Agent {
  const { clientAuthentication: method, dpop = false, longPollSeconds = 25 } = options;
  if (!Number.isInteger(longPollSeconds) || longPollSeconds < 0 || longPollSeconds > 60)
    throw new InvalidArgumentError("longPollSeconds must be a whole number from 0 to 60");
  const clock = options.clock ?? machineClock;
  const callback = options.callback && createCallback(credentials, options.callback);
  if (callback?.mode === "push" && (dpop !== false || options.certificateBound))
    throw new InvalidArgumentError(
      "what is pushed cannot be bound to a key: dpop and certificateBound need poll or ping",
    );
  const network = options.fetch ?? fetch;
  const connection = createConnection({
    issuer: credentials.issuer,
    clientId: credentials.clientId,
    authenticate: createClientAuthentication(credentials, clock, method),
    signRequest: requestSigner(credentials, options.signRequests),
    prove: dpop === false ? undefined : createProver(dpop === true ? undefined : dpop, clock),
    dpop: dpop !== false,
    byCertificate: isByCertificate(method) || options.certificateBound === true,
    callback,
    delivery: callback?.mode ?? "poll",
    fetch: network,
    allowHttp: options.allowHttp ?? false,
    clock,
  });
  const agent: Agent = {
    ask: (wanted, { signal } = {}) => rejectAborted(ask(connection, wanted, signal), signal),
    redeem: (pending, { signal } = {}) => rejectAborted(redeemOnce(connection, pending, signal), signal),
    wait: (pending, { signal } = {}) =>
      rejectAborted(wait(connection, pending, { signal, holdSeconds: longPollSeconds }), signal),
    countersigned: <A extends Actions, R>(
      wanted: NewAsk<A>,
      run: Run<A, R>,
      runOptions: RunOptions | StoredRunOptions = {},
    ) => {
      // Its callback is for this call, and not for `onReady`, from the first moment on.
      const { idempotencyKey: key } = wanted;
      const leave = key === undefined ? undefined : callback?.callbackInbox.subscribe(key);
      return countersigned(agent, wanted, run, runOptions).finally(leave);
    },
    receive: callback
      ? createReceiver({
          ...callback,
          options: { ...options.callback },
          checkPush: createPushCheck(connection, network),
        })
      : async () => new Response(null, { status: 404 }),
  };
  return agent;
}

function requestSigner({ privateKey }: Credentials, key: boolean | PrivateKey = false): Sign | undefined {
  if (key === false) return undefined;
  const own = key === true ? privateKey : key;
  if (!own) throw new InvalidArgumentError("signRequests needs a private key: the credentials have none");
  return createSigner(own);
}
