/**
 * One agent's line to its server: finds the endpoints, proves who is calling, and tells an answer from the lack of one.
 * It never follows a redirect, never waits longer than half a minute, and decides nothing.
 */
import { type JsonObject, parseJson } from "@countersign/protocol";
import { isObject } from "./action.ts";
import type { Authenticate } from "./client-authentication.ts";
import type { Clock } from "./clock.ts";

export type Connection = {
  readonly issuer: string;
  readonly clientId: string;
  readonly clock: Clock;
  /**
   * Posts a form to an endpoint, with the agent's credentials. Rejects only when aborted, or for unusable
   * metadata.
   */
  post(endpoint: Endpoint, form: Form, options: PostOptions): Promise<Answer | Unanswered>;
};
export type Endpoint = "backchannel_authentication_endpoint" | "token_endpoint";
export type Form = Readonly<Record<string, string | undefined>>;
/** Aborting rejects with the signal's own reason. It ends the waiting here; at the server the ask goes on. */
export type Abortable = { readonly signal?: AbortSignal };

export type PostOptions = Abortable & { readonly headers?: Record<string, string> };

export type Answer = {
  readonly status: number;
  /** What `Retry-After` asks for, in milliseconds from now. */
  readonly retryAfterMilliseconds?: number;
  /** Undefined where the answer is not a JSON object. */
  readonly body: JsonObject | undefined;
};
/** No answer, or none that came from the server itself: whether the request took effect is not known. */
export type Unanswered = { readonly unanswered: Error };

type Ground = Omit<Connection, "post"> & {
  readonly authenticate: Authenticate;
  readonly fetch: typeof fetch;
  readonly allowHttp: boolean;
};
type Metadata = { readonly [E in Endpoint]: string };

const longestRequestMilliseconds = 30_000;
const longestRetryAfterMilliseconds = 3_600_000;

export function createConnection(ground: Ground): Connection {
  const { issuer, clientId, clock, authenticate } = ground;
  requireSecure(issuer, "the issuer", ground);
  let known: Metadata | undefined;
  return {
    issuer,
    clientId,
    clock,
    async post(endpoint, form, { headers, signal }) {
      const metadata = known ?? (await discover(ground, signal));
      if ("unanswered" in metadata) return metadata;
      known = metadata;
      const proof = await authenticate(issuer);
      const body = new URLSearchParams();
      for (const [name, value] of Object.entries({ ...form, ...proof.form }))
        if (value !== undefined) body.set(name, value);
      return send(
        ground,
        metadata[endpoint],
        { method: "POST", headers: { ...headers, ...proof.headers }, body },
        signal,
      );
    },
  };
}

/**
 * OpenID Connect Discovery §4: the well-known path is appended, and the document must name the issuer that was
 * asked.
 */
async function discover(ground: Ground, signal?: AbortSignal): Promise<Metadata | Unanswered> {
  const { issuer } = ground;
  const answer = await send(
    ground,
    `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`,
    {},
    signal,
  );
  if ("unanswered" in answer) return answer;
  const { status, body } = answer;
  if (isUnavailable(status))
    return { unanswered: new Error(`${issuer} answered ${status} instead of its metadata`) };
  if (status !== 200 || !body)
    throw new Error(`${issuer} answered ${status} instead of its metadata: is this the issuer URL?`);
  if (typeof body.issuer !== "string" || !sameUrl(body.issuer, issuer))
    throw new Error(`the metadata at ${issuer} is for another issuer, ${JSON.stringify(body.issuer)}`);
  const endpointOf = (name: Endpoint): string => {
    const url = body[name];
    if (typeof url !== "string") throw new Error(`the metadata of ${issuer} has no ${name}`);
    requireSecure(url, name, ground);
    return url;
  };
  return {
    backchannel_authentication_endpoint: endpointOf("backchannel_authentication_endpoint"),
    token_endpoint: endpointOf("token_endpoint"),
  };
}

async function send(
  { fetch, clock }: Ground,
  url: string,
  init: RequestInit,
  signal?: AbortSignal,
): Promise<Answer | Unanswered> {
  signal?.throwIfAborted();
  const timeout = AbortSignal.timeout(longestRequestMilliseconds);
  try {
    const response = await fetch(url, {
      ...init,
      headers: { accept: "application/json", ...init.headers },
      redirect: "manual",
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    const text = await response.text();
    const { status } = response;
    if (status >= 500 && status !== 503) return { unanswered: new Error(`${url} answered ${status}`) };
    const read = parseJson(text);
    return {
      status,
      retryAfterMilliseconds: readRetryAfter(response.headers.get("retry-after"), clock.now()),
      body: "value" in read && isObject(read.value) ? read.value : undefined,
    };
  } catch (cause) {
    signal?.throwIfAborted();
    return { unanswered: new Error(`no answer from ${url}`, { cause }) };
  }
}

/** The server says that it did nothing: try again later. */
export function isUnavailable(status: number): boolean {
  return status === 503 || status === 429;
}

/** RFC 9110 §10.2.3: seconds, or a date. More than an hour is cut to an hour. */
function readRetryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  const milliseconds = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  if (Number.isNaN(milliseconds)) return undefined;
  return Math.min(Math.max(milliseconds, 0), longestRetryAfterMilliseconds);
}

function requireSecure(url: string, name: string, { allowHttp }: Ground): void {
  if (!URL.canParse(url)) throw new TypeError(`${name} is not a URL: ${url}`);
  const { protocol, hostname } = new URL(url);
  const here = /^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
  if (protocol === "https:" || (protocol === "http:" && (here || allowHttp))) return;
  throw new TypeError(`${name} must be https: (${url}); http: only on this machine, or with allowHttp`);
}

/** The same URL after normalization: a root issuer may be spelled with its slash or without. */
export function sameUrl(one: string, other: string): boolean {
  return one === other || (URL.canParse(one) && new URL(one).href === new URL(other).href);
}
