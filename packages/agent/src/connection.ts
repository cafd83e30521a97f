/**
 * Sends authenticated requests to the authorization server: discovers the endpoints, authenticates the client, parses the
 * response, and distinguishes responses from network failures. It follows no redirects; a request times out 30 seconds
 * after its long-poll time.
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
import { type Endpoint, type Metadata, type RequiredCapabilities, readMetadata } from "./metadata.ts";
import { encodeForm, type Form, type Parameters, signRequestObject } from "./request/request-object.ts";

export type Connection = {
  readonly issuer: string;
  readonly clientId: string;
  readonly clock: Clock;
  /** Creates DPoP proofs, if tokens are bound to a key (RFC 9449). */
  readonly prove?: Prove;
  /** Set for ping and push. */
  readonly callback?: Callback;
  /** Posts to an endpoint, with the agent's credentials. Rejects only if aborted, or if metadata or a key is unusable. */
  post(
    endpoint: Endpoint,
    parameters: Parameters,
    options: PostOptions,
  ): Promise<ServerReply | NetworkFailure>;
  /** Returns the server's metadata, fetched once. */
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
  /** Long-poll time: `Prefer: wait` (RFC 7240 §4.3). Default: 0, no long poll. */
  readonly holdSeconds?: number;
};

/** A response of the server with a status below 500, or 503. */
export type ServerReply = {
  readonly status: number;
  /** The time of `Retry-After`, from now. */
  readonly retryAfterMs?: number;
  /** True if the server applied `Prefer: wait`. */
  readonly held: boolean;
  /** The nonce for the next DPoP proof (RFC 9449 §8.2). */
  readonly dpopNonce?: string;
  /** Undefined if the body is not a JSON object. */
  readonly body: JsonObject | undefined;
};
/** No response, or one of an intermediary (5xx). Whether the request took effect is unknown. */
export type NetworkFailure = { readonly failure: CountersignError };

export type ConnectionDeps = RequiredCapabilities & {
  readonly clientId: string;
  readonly clock: Clock;
  readonly authenticate: Authenticate;
  readonly fetch: typeof fetch;
  readonly prove?: Prove;
  readonly callback?: Callback;
  /** Signs authentication requests. */
  readonly signRequest?: Sign;
};

const maxRequestMs = 30_000;

export function createConnection(deps: ConnectionDeps): Connection {
  const { issuer, clientId, clock, authenticate, prove, signRequest } = deps;
  requireSecureUrl(issuer, "the issuer", deps);
  let cached: Metadata | undefined;
  let nonce: string | undefined;

  async function metadata(signal?: AbortSignal): Promise<Metadata | NetworkFailure> {
    if (cached) return cached;
    const found = await discover(deps, signal);
    if ("failure" in found) return found;
    cached = found;
    return found;
  }

  /** One attempt. Assertion, request object and proof are fresh in each: the server accepts them once. */
  async function attempt(endpoint: Endpoint, url: string, parameters: Parameters, options: PostOptions) {
    const { headers, signal, holdSeconds = 0 } = options;
    const isAsk = endpoint === "backchannel_authentication_endpoint";
    const proof = await authenticate();
    const form: Form =
      isAsk && signRequest ? await signRequestObject(parameters, deps, signRequest) : encodeForm(parameters);
    const reply = await send(
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
    if ("status" in reply) nonce = reply.dpopNonce ?? nonce;
    return reply;
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
      if ("failure" in found) return found;
      const reply = await attempt(endpoint, found[endpoint], parameters, options);
      // RFC 9449 §8: the server did not process the request, and requires this nonce.
      const isRetried = "status" in reply && reply.body?.error === "use_dpop_nonce" && reply.dpopNonce;
      return isRetried ? attempt(endpoint, found[endpoint], parameters, options) : reply;
    },
  };
}

/** Fetches the metadata from the issuer's well-known path (OpenID Connect Discovery §4). */
async function discover(deps: ConnectionDeps, signal?: AbortSignal): Promise<Metadata | NetworkFailure> {
  const { issuer } = deps;
  const url = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const reply = await send(deps, url, {}, { signal });
  if ("failure" in reply) return reply;
  const { status, body } = reply;
  if (isUnavailable(status))
    return { failure: new NetworkError(`${issuer} returned ${status} instead of its metadata`) };
  if (status !== 200 || !body)
    throw new MetadataError(`${issuer} returned ${status} instead of its metadata: is this the issuer URL?`);
  return readMetadata(body, deps);
}

async function send(
  { fetch, clock }: ConnectionDeps,
  url: string,
  init: RequestInit,
  { signal, holdSeconds = 0 }: Pick<PostOptions, "signal" | "holdSeconds">,
): Promise<ServerReply | NetworkFailure> {
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
    if (status >= 500 && status !== 503) return { failure: new NetworkError(`${url} returned ${status}`) };
    const read = parseJson(text);
    return {
      status,
      retryAfterMs: parseRetryAfter(headers.get("retry-after"), clock.now()),
      held: /^\s*wait\b/i.test(headers.get("preference-applied") ?? ""),
      dpopNonce: headers.get("dpop-nonce") ?? undefined,
      body: "value" in read && isObject(read.value) ? read.value : undefined,
    };
  } catch (cause) {
    signal?.throwIfAborted();
    return { failure: toNetworkError(`no response from ${url}`, cause) };
  }
}

/** Returns an error with the code of the last failure; ERR_NETWORK if there was none. */
export function createNoResponseError(
  message: string,
  cause: CountersignError | undefined,
): CountersignError {
  return cause instanceof TimeoutError
    ? new TimeoutError(message, { cause })
    : new NetworkError(message, { cause });
}

/** Returns true if the server did not process the request, and a retry may succeed. */
export function isUnavailable(status: number): boolean {
  return status === 503 || status === 429;
}
