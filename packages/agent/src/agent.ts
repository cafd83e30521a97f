/**
 * The agent's SDK. Requests a person's approval for one action, waits for the decision and exchanges it for a token:
 * `ask`, `wait`, `redeem`, and `countersigned`, which combines them around a function of the caller. Implements OpenID
 * Connect CIBA Core 1.0 (poll, ping and push) with authorization details (RFC 9396). It never selects an approver,
 * never repeats a denied or expired request, never runs the function without a token, and never infers the outcome of
 * a request whose response was lost.
 */
import { type Clock, InvalidArgumentError, machineClock } from "@countersign/protocol/client";
import { createCallback } from "./callback/callback.ts";
import { createPushCheck } from "./callback/push.ts";
import { type CallbackOptions, createReceiver, type Receive } from "./callback/receive.ts";
import { type Abortable, createConnection, rejectAborted } from "./connection.ts";
import { countersigned, type Run, type RunOptions, type StoredRunOptions } from "./countersigned.ts";
import {
  type ClientAuthenticationMethod,
  type Credentials,
  createClientAuthentication,
  usesCertificate,
} from "./credential/client-authentication.ts";
import { createProver, type DpopKey } from "./credential/dpop.ts";
import { createSigner, type PrivateKey, type Sign } from "./credential/signing-key.ts";
import type { Actions } from "./request/action.ts";
import { type Ask, type Asked, ask, type NewAsk } from "./request/ask.ts";
import { type Countersigned, type Outcome, type Redemption, redeemOnce } from "./token/redeem.ts";
import { wait } from "./token/wait.ts";

export type { Clock } from "@countersign/protocol/client";
export {
  AbortError,
  AuthenticationError,
  CountersignError,
  type ErrorCode,
  GrantMismatchError,
  HandlerError,
  InvalidArgumentError,
  MetadataError,
  NetworkError,
  ResponseError,
  TimeoutError,
} from "@countersign/protocol/client";
export type { CallbackOptions, Receive } from "./callback/receive.ts";
export type { Abortable } from "./connection.ts";
export type { AskStore, Run, RunOptions, StoredRunOptions } from "./countersigned.ts";
export type { Credentials } from "./credential/client-authentication.ts";
export type { DpopKey } from "./credential/dpop.ts";
export type { PrivateKey, SigningAlgorithm } from "./credential/signing-key.ts";
export type { Action, Actions, Granted } from "./request/action.ts";
export type { Ask, Asked, NewAsk } from "./request/ask.ts";
export type { AskRefused } from "./request/refusal.ts";
export type {
  Countersigned,
  Denied,
  Expired,
  Outcome,
  Pending,
  Redemption,
  ResponseLost,
} from "./token/redeem.ts";
export type { Approved } from "./token/token-response.ts";

/** Options of `createAgent`. */
export type AgentOptions = {
  /**
   * The registered client authentication method. Default: `client_secret_basic` with a secret, `private_key_jwt` with a
   * key.
   */
  readonly clientAuthentication?: ClientAuthenticationMethod;
  /** Signs each authentication request (CIBA §7.1.1) with the given key or, if `true`, with the credentials' key. */
  readonly signRequests?: boolean | PrivateKey;
  /** Requests tokens bound to the given key (RFC 9449) or, if `true`, to a key generated for this process. */
  readonly dpop?: boolean | DpopKey;
  /** Requests tokens bound to the client certificate that `fetch` presents (RFC 8705 §3). Default: false. */
  readonly certificateBound?: boolean;
  /**
   * Seconds for which `wait` asks the server to hold each token request (`Prefer: wait`, RFC 7240). 0 to 60, default 25;
   * 0 disables long polling. A server without long polling is polled at its interval.
   */
  readonly longPollSeconds?: number;
  /**
   * Required for agents registered for ping or push: an endpoint of the application passes its requests to `receive`. A
   * ping wakes `wait`, which also polls every 30 seconds in case a ping is lost.
   */
  readonly callback?: CallbackOptions;
  /** Replaces the global `fetch`, for example to use a proxy or to present a client certificate. */
  readonly fetch?: typeof fetch;
  /** Allows `http:` URLs beyond this machine. They send secrets and tokens in clear text: for closed networks only. */
  readonly allowHttp?: boolean;
  /** Replaces the machine's clock, for tests or for a workflow engine whose sleep survives a restart. */
  readonly clock?: Clock;
};

/** A client of one authorization server. Create it with `createAgent`. */
export interface Agent {
  /**
   * Sends an approval request and returns without waiting for the decision. Lost connections, 5xx and 429 are retried, at
   * most four attempts in all; the idempotency key prevents a second request.
   *
   * @param request - The action or actions, the approver, and an optional message, lifetime and idempotency key.
   * @param options - `signal` aborts the attempts; the server may have received the request.
   * @returns The request as plain JSON (`asked`), or the server's refusal (`refused`).
   * @throws {CountersignError} `ERR_INVALID_ARGUMENT`: the action is not JSON, or the idempotency key is invalid.
   * `ERR_NETWORK`, `ERR_TIMEOUT`: no response in four attempts; repeat with the same idempotency key. `ERR_RESPONSE`: the
   * response is malformed. `ERR_METADATA`: the server's metadata is unusable. `ERR_AUTHENTICATION`: the agent's key cannot
   * sign. `ERR_ABORTED`: the signal was aborted.
   * @example
   * const asked = await agent.ask({
   *   action: { type: "refund", order: "A-1001", amount: "19.90" },
   *   approver: "owner",
   *   idempotencyKey: "refund-4711",
   * });
   * if (asked.outcome === "asked") await save(asked.ask);
   */
  ask<A extends Actions>(request: NewAsk<A>, options?: Abortable): Promise<Asked<A>>;

  /**
   * Sends one token request (CIBA §10.1). A push agent sends none and reads what was pushed to this process.
   *
   * @param ask - The request, from `ask` or from a `pending` result, whose interval may be longer.
   * @param options - `signal` aborts the request; an approval may then have been redeemed.
   * @returns The outcome, or `pending` with the time `retryAt` before which not to send another.
   * @throws {CountersignError} `ERR_NETWORK`, `ERR_TIMEOUT`: no response; the next call returns `lost` if this one
   * redeemed the approval. `ERR_GRANT_MISMATCH`: the server granted an action other than the requested one; its token is
   * not used. `ERR_RESPONSE`: the response is malformed. `ERR_INVALID_ARGUMENT`: the request belongs to another agent or
   * issuer. `ERR_METADATA`, `ERR_AUTHENTICATION`, `ERR_ABORTED`: as for `ask`.
   * @example
   * const result = await agent.redeem(ask);
   * if (result.outcome === "pending") await schedule(result.ask, result.retryAt);
   */
  redeem<A extends Actions>(ask: Ask<A>, options?: Abortable): Promise<Redemption<A>>;

  /**
   * Waits for the decision and redeems an approval. Polls at the server's pace (`interval`, `slow_down`, `Retry-After`),
   * with long polling where the server supports it, or waits for a callback. Lost connections are retried. Only the
   * server decides that a request has expired.
   *
   * @param ask - The request, from `ask`, also in another process.
   * @param options - `signal` stops waiting; the request stays open at the server.
   * @returns The final outcome.
   * @throws {CountersignError} `ERR_TIMEOUT`: the server returned no status until one minute after the expiry; call `wait`
   * again later. `ERR_GRANT_MISMATCH`, `ERR_RESPONSE`, `ERR_INVALID_ARGUMENT`, `ERR_METADATA`, `ERR_AUTHENTICATION`,
   * `ERR_ABORTED`: as for `redeem`.
   * @example
   * const outcome = await agent.wait(ask, { signal: AbortSignal.timeout(600_000) });
   * if (outcome.outcome === "approved") await callPayments(outcome.action, outcome.token);
   */
  wait<A extends Actions>(ask: Ask<A>, options?: Abortable): Promise<Outcome<A>>;

  /**
   * Handles a request to the agent's callback endpoint (CIBA §10.2, §10.3). A web-standard handler, for Hono, Next.js and
   * other frameworks with `Request` and `Response`; `@countersign/agent/express` adapts it to Express.
   *
   * @param request - The request as received, with its body unread.
   * @returns 204 if the callback was accepted; 400, 401, 405 or 413 if it was rejected; 503 if this process cannot use it
   * now, so that the server sends it again; 404 without the `callback` option.
   * @throws Only an error of `callback.store`, unchanged. Rejected callbacks are reported to `callback.onProblem`.
   * @example
   * export const POST = agent.receive;
   */
  readonly receive: Receive;

  /**
   * Sends an approval request, waits, and calls `run` once with the granted action and its token if approved. With a
   * `store`, the request survives a restart: a call with the same `idempotencyKey` resumes it. The outcome `lost` then
   * means that `run` may have run.
   *
   * @param request - The request, as for `ask`. `idempotencyKey` is required with a `store`.
   * @param run - Called at most once for each approval.
   * @param options - `store` keeps the request until it ends; `signal` stops waiting, and is not passed to `run`.
   * @returns `approved` with the result of `run`, or the outcome for which it did not run.
   * @throws {CountersignError} `ERR_INVALID_ARGUMENT`: also if the store has another action under the idempotency key. All
   * other codes: as for `ask` and `wait`. Errors of `run` and of the store are thrown unchanged.
   * @example
   * const outcome = await agent.countersigned(
   *   { action: { type: "refund", order: "A-1001", amount: "19.90" }, approver: "owner" },
   *   (granted, token) => callPayments(granted, token),
   * );
   */
  countersigned<A extends Actions, R>(
    request: NewAsk<A> & { readonly idempotencyKey: string },
    run: Run<A, R>,
    options: StoredRunOptions,
  ): Promise<Countersigned<R>>;
  countersigned<A extends Actions, R>(
    request: NewAsk<A>,
    run: Run<A, R>,
    options?: RunOptions,
  ): Promise<Countersigned<R>>;
}

/**
 * Creates an agent. Sends no request; the server's metadata is fetched when first needed, and cached.
 *
 * @param credentials - The issuer, client id, and secret or key, as printed by `countersign agent add`.
 * @param options - All optional; the defaults suit an agent registered for polling with bearer tokens.
 * @returns The agent.
 * @throws {CountersignError} `ERR_INVALID_ARGUMENT`: the issuer is not an https: URL, a credential is missing, or options
 * contradict each other.
 * @example
 * const agent = createAgent({
 *   issuer: "https://countersign.example",
 *   clientId: process.env.COUNTERSIGN_CLIENT_ID!,
 *   clientSecret: process.env.COUNTERSIGN_CLIENT_SECRET!,
 * });
 */
export function createAgent(credentials: Credentials, options: AgentOptions = {}): Agent {
  const { clientAuthentication: method, dpop = false, longPollSeconds = 25 } = options;
  if (!Number.isInteger(longPollSeconds) || longPollSeconds < 0 || longPollSeconds > 60)
    throw new InvalidArgumentError("longPollSeconds must be a whole number from 0 to 60");
  const clock = options.clock ?? machineClock;
  const callback = options.callback && createCallback(credentials, options.callback);
  if (callback?.mode === "push" && (dpop !== false || options.certificateBound))
    throw new InvalidArgumentError(
      "pushed tokens cannot be bound to a key: dpop and certificateBound require poll or ping",
    );
  const network = options.fetch ?? fetch;
  const connection = createConnection({
    issuer: credentials.issuer,
    clientId: credentials.clientId,
    authenticate: createClientAuthentication(credentials, clock, method),
    signRequest: createRequestSigner(credentials, options.signRequests),
    prove: dpop === false ? undefined : createProver(dpop === true ? undefined : dpop, clock),
    dpop: dpop !== false,
    byCertificate: usesCertificate(method) || options.certificateBound === true,
    callback,
    delivery: callback?.mode ?? "poll",
    fetch: network,
    allowHttp: options.allowHttp ?? false,
    clock,
  });
  const agent: Agent = {
    ask: (request, { signal } = {}) => rejectAborted(ask(connection, request, signal), signal),
    redeem: (pending, { signal } = {}) => rejectAborted(redeemOnce(connection, pending, signal), signal),
    wait: (pending, { signal } = {}) =>
      rejectAborted(wait(connection, pending, { signal, holdSeconds: longPollSeconds }), signal),
    countersigned: <A extends Actions, R>(
      request: NewAsk<A>,
      run: Run<A, R>,
      runOptions: RunOptions | StoredRunOptions = {},
    ) => {
      // Subscribe first: a callback for this request must reach this call, not `onReady`.
      const { idempotencyKey: key } = request;
      const unsubscribe = key === undefined ? undefined : callback?.callbackInbox.subscribe(key);
      return countersigned(agent, request, run, runOptions).finally(unsubscribe);
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

function createRequestSigner(
  { privateKey }: Credentials,
  key: boolean | PrivateKey = false,
): Sign | undefined {
  if (key === false) return undefined;
  const own = key === true ? privateKey : key;
  if (!own)
    throw new InvalidArgumentError("signRequests requires a private key, and the credentials have none");
  return createSigner(own);
}
