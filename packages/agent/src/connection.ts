/**
 * One agent's line to its server: finds the endpoints, proves who is calling, and tells an answer from the lack of one.
 * It never follows a redirect, never waits longer than half a minute beyond what it asked the server to, and decides nothing.
 */
import { isObject, type JsonObject, parseJson } from "@countersign/protocol";
import {
  AbortError,
  type Clock,
  type CountersignError,
  MetadataError,
  NetworkError,
  parseRetryAfter,
  requireSecureUrl,
  TimeoutError,
  toNetworkError,
} from "@countersign/protocol/client";
import type { Callback } from "./callback/callback.ts";
import type { Authenticate } from "./credential/client-authentication.ts";
import type { Prove } from "./credential/dpop.ts";
import type { Sign } from "./credential/signing-key.ts";
import { type Endpoint, type Metadata, type Needs, readMetadata } from "./metadata.ts";
import { asForm, asRequestObject, type Form, type Parameters } from "./request/request-object.ts";

export type Connection = {
  readonly issuer: string;
  readonly clientId: string;
  readonly clock: Clock;
  /** Set: tokens are bound to the key that this proves (RFC 9449). */
  readonly prove?: Prove;
  /** Set: the server tells of answers by itself. */
  readonly callback?: Callback;
  /**
   * Posts to an endpoint, with the agent's credentials. Rejects only when aborted, or for unusable
   * metadata.
   */
  post(
    endpoint: Endpoint,
    parameters: Parameters,
    options: PostOptions,
  ): Promise<TokenReply | NetworkFailure>;
  /** The server's metadata, read once. */
  metadata(signal?: AbortSignal): Promise<Metadata | NetworkFailure>;
};
/**
 * Aborting rejects with an AbortError (ERR_ABORTED) whose `cause` is the signal's reason. The request stays open at the
 * server.
 */
export type Abortable = { readonly signal?: AbortSignal };

/** Returns the error for an aborted signal. */
export function abortError(signal: AbortSignal): AbortError {
  return new AbortError("the operation was aborted", { cause: signal.reason });
}

/** Replaces a rejection with the signal's reason by an AbortError. */
export async function rejectAborted<T>(pending: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  try {
    return await pending;
  } catch (error) {
    throw signal?.aborted && error === signal.reason ? abortError(signal) : error;
  }
}

export type PostOptions = Abortable & {
  readonly headers?: Record<string, string>;
  /** How long the server is asked to hold the request until it has something to say (RFC 7240 §4.3). */
  readonly holdSeconds?: number;
};

export type TokenReply = {
  readonly status: number;
  /** What `Retry-After` asks for, in milliseconds from now. */
  readonly retryAfterMilliseconds?: number;
  /** Whether the server says that it held the request as it was asked to. */
  readonly held: boolean;
  /** What the next proof of possession must repeat (RFC 9449 §8.2). */
  readonly dpopNonce?: string;
  /** Undefined where the answer is not a JSON object. */
  readonly body: JsonObject | undefined;
};
/** No answer, or none that came from the server itself: whether the request took effect is not known. */
export type NetworkFailure = { readonly unanswered: CountersignError };

export type ConnectionDeps = Needs & {
  readonly clientId: string;
  readonly clock: Clock;
  readonly authenticate: Authenticate;
  readonly fetch: typeof fetch;
  readonly prove?: Prove;
  readonly callback?: Callback;
  /** Set: asks are signed. */
  readonly signRequest?: Sign;
};

const maxRequestMs = 30_000;

export function createConnection(deps: ConnectionDeps): Connection {
  const { issuer, clientId, clock, authenticate, prove, signRequest } = deps;
  requireSecureUrl(issuer, "the issuer", deps);
  let known: Metadata | undefined;
  let nonce: string | undefined;

  async function metadata(signal?: AbortSignal): Promise<Metadata | NetworkFailure> {
    if (known) return known;
    const found = await discover(deps, signal);
    if ("unanswered" in found) return found;
    known = found;
    return found;
  }

  /** One attempt. Assertion, request object and proof are fresh in each: the server accepts them once. */
  async function attempt(endpoint: Endpoint, url: string, parameters: Parameters, options: PostOptions) {
    const { headers, signal, holdSeconds = 0 } = options;
    const isAsk = endpoint === "backchannel_authentication_endpoint";
    const proof = await authenticate();
    const form: Form =
      isAsk && signRequest ? await asRequestObject(parameters, deps, signRequest) : asForm(parameters);
    const answer = await send(
      deps,
      url,
      {
        method: "POST",
        headers: {
          ...headers,
          ...proof.headers,
          ...(holdSeconds > 0 && { prefer: `wait=${holdSeconds}` }),
          ...(prove && !isAsk && { dpop: await prove({ method: "POST", url, nonce }) }),
        },
        body: new URLSearchParams({ ...form, ...proof.form }),
      },
      { signal, holdSeconds },
    );
    if ("status" in answer) nonce = answer.dpopNonce ?? nonce;
    return answer;
  }

  return {
    issuer,
    clientId,
    clock,
    prove,
    callback: deps.callback,
    metadata,
    async post(endpoint, parameters, options) {
      const found = await metadata(options.signal);
      if ("unanswered" in found) return found;
      const answer = await attempt(endpoint, found[endpoint], parameters, options);
      // RFC 9449 §8: the server did nothing but say which nonce it wants to see.
      const again = "status" in answer && answer.body?.error === "use_dpop_nonce" && answer.dpopNonce;
      return again ? attempt(endpoint, found[endpoint], parameters, options) : answer;
    },
  };
}

/**
 * OpenID Connect Discovery §4: the well-known path is appended, and the document must name the issuer that was
 * asked.
 */
async function discover(deps: ConnectionDeps, signal?: AbortSignal): Promise<Metadata | NetworkFailure> {
  const { issuer } = deps;
  const url = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const answer = await send(deps, url, {}, { signal });
  if ("unanswered" in answer) return answer;
  const { status, body } = answer;
  if (isUnavailable(status))
    return { unanswered: new NetworkError(`${issuer} answered ${status} instead of its metadata`) };
  if (status !== 200 || !body)
    throw new MetadataError(`${issuer} answered ${status} instead of its metadata: is this the issuer URL?`);
  return readMetadata(body, deps);
}

async function send(
  { fetch, clock }: ConnectionDeps,
  url: string,
  init: RequestInit,
  { signal, holdSeconds = 0 }: Pick<PostOptions, "signal" | "holdSeconds">,
): Promise<TokenReply | NetworkFailure> {
  signal?.throwIfAborted();
  const timeout = AbortSignal.timeout(maxRequestMs + holdSeconds * 1000);
  try {
    const response = await fetch(url, {
      ...init,
      headers: { accept: "application/json", ...init.headers },
      redirect: "manual",
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    const text = await response.text();
    const { status, headers } = response;
    if (status >= 500 && status !== 503) return { unanswered: new NetworkError(`${url} answered ${status}`) };
    const read = parseJson(text);
    return {
      status,
      retryAfterMilliseconds: parseRetryAfter(headers.get("retry-after"), clock.now()),
      held: /^\s*wait\b/i.test(headers.get("preference-applied") ?? ""),
      dpopNonce: headers.get("dpop-nonce") ?? undefined,
      body: "value" in read && isObject(read.value) ? read.value : undefined,
    };
  } catch (cause) {
    signal?.throwIfAborted();
    return { unanswered: toNetworkError(`no response from ${url}`, cause) };
  }
}

/** Returns an error with the code of the last failure, or ERR_NETWORK if no attempt failed. */
export function unansweredError(message: string, cause: CountersignError | undefined): CountersignError {
  return cause instanceof TimeoutError
    ? new TimeoutError(message, { cause })
    : new NetworkError(message, { cause });
}

/** The server did nothing: retry later. */
export function isUnavailable(status: number): boolean {
  return status === 503 || status === 429;
}
