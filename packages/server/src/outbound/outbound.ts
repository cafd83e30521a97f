/**
 * HTTP client with SSRF protection, for URLs that agents register (callbacks, `jwks_uri`). Checks the URL again
 * (`domain/url/outbound-url.ts`), resolves the host, checks every address, and connects to exactly those addresses, so that
 * DNS rebinding has no effect. Follows no redirects; time and response size are bounded.
 */

import { lookup } from "node:dns/promises";
import {
  Agent as HttpAgent,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as overHttp,
} from "node:http";
import { Agent as HttpsAgent, request as overHttps } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { createSecureContext, getCACertificates } from "node:tls";
import { getErrorMessage } from "@countersign/protocol";
import {
  checkOutboundUrl,
  isAddressAllowed,
  type OutboundPolicy,
  readHost,
} from "../domain/url/outbound-url.ts";

export type OutboundRequest = {
  readonly url: string;
  readonly method: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Maximum bytes of the response body to read. With 0, only the status and the headers are read. */
  readonly maxBytes: number;
  /** Milliseconds for the whole call, from name resolution to the last byte. Default 10 000. */
  readonly timeoutMs?: number;
  /** Aborts the call; the result is then `stopped`. */
  readonly signal?: AbortSignal;
};

export type OutboundResponse = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Decoded as UTF-8, up to `maxBytes`. */
  readonly body: string;
  /** False if the body was longer than `maxBytes` or was cut off. */
  readonly complete: boolean;
};

/**
 * `refused`: by the SSRF policy; a retry cannot succeed. `unreachable`: resolution or connection failed. `timeout`: no status
 * in time. `stopped`: aborted by the signal.
 */
export type OutboundFailure = {
  readonly failed: "refused" | "unreachable" | "timeout" | "stopped";
  /** For the operator's log only: it may contain internal addresses. */
  readonly why: string;
};

export type Outbound = (request: OutboundRequest) => Promise<OutboundResponse | OutboundFailure>;

export type OutboundSettings = OutboundPolicy & {
  /** Additional certificate authorities, in PEM. */
  readonly ca?: string | undefined;
  /** Returns all addresses of a host name. Default: the system resolver. */
  readonly resolve?: (name: string) => Promise<readonly string[]>;
};

const defaultTimeoutMs = 10_000;
const connectTimeoutMs = 5_000;
const maxHeaderBytes = 16_384;

export function createOutbound({ ca, resolve = resolveAddresses, ...policy }: OutboundSettings): Outbound {
  // One connection per call: no keep-alive and no TLS session resumption with a host that an agent has chosen.
  const httpAgent = new HttpAgent({ keepAlive: false });
  const httpsAgent = new HttpsAgent({
    keepAlive: false,
    maxCachedSessions: 0,
    ...(ca !== undefined && {
      secureContext: createSecureContext({ ca: [...getCACertificates("default"), ca] }),
    }),
  });
  const addressesOf = once(resolve);

  /** Resolves the URL's host. Returns its addresses, or a failure if one of them is not allowed. */
  async function resolveAllowedAddresses(url: URL): Promise<readonly string[] | OutboundFailure> {
    const host = readHost(url);
    const addresses = isIP(host) ? [host] : await addressesOf(host);
    if (addresses.length === 0) return { failed: "unreachable", why: `${host} has no address` };
    const forbidden = addresses.find((address) => !isAddressAllowed(address, url, policy));
    return forbidden === undefined
      ? addresses
      : { failed: "refused", why: `${host} resolves to ${forbidden}, which is not a public address` };
  }

  return async (request) => {
    const url = checkOutboundUrl(request.url, policy);
    if ("refused" in url) return { failed: "refused", why: `${request.url}: ${url.why}` };
    const deadline = startDeadline(request);
    try {
      const addresses = await Promise.race([resolveAllowedAddresses(url), deadline.reached]);
      if ("failed" in addresses) return addresses;
      const agent = url.protocol === "https:" ? httpsAgent : httpAgent;
      return await exchange(url, request, { agent, lookup: pinAddresses(addresses) }, deadline);
    } catch (error) {
      return deadline.failure() ?? { failed: "unreachable", why: getErrorMessage(error) };
    } finally {
      deadline.end();
    }
  };
}

type Deadline = ReturnType<typeof startDeadline>;

/** Starts the timer that aborts the call after `timeoutMs`, and forwards the caller's signal. */
function startDeadline({ timeoutMs = defaultTimeoutMs, signal }: OutboundRequest) {
  const controller = new AbortController();
  let failure: OutboundFailure | undefined;
  const fail = (reason: OutboundFailure) => {
    failure ??= reason;
    controller.abort();
  };
  const stop = () => fail({ failed: "stopped", why: "the call was aborted" });
  const timer = setTimeout(
    () => fail({ failed: "timeout", why: `no response within ${timeoutMs} ms` }),
    timeoutMs,
  );
  const reached = new Promise<OutboundFailure>((resolve) =>
    controller.signal.addEventListener("abort", () => resolve(failure!), { once: true }),
  );
  if (signal?.aborted) stop();
  signal?.addEventListener("abort", stop, { once: true });
  return {
    signal: controller.signal,
    fail,
    reached,
    failure: () => failure,
    end: () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    },
  };
}

function exchange(
  url: URL,
  { method, headers, body, maxBytes }: OutboundRequest,
  connection: { readonly agent: HttpAgent; readonly lookup: LookupFunction },
  deadline: Deadline,
): Promise<OutboundResponse> {
  return new Promise((resolve, reject) => {
    const isSecure = url.protocol === "https:";
    const request = (isSecure ? overHttps : overHttp)(url, {
      ...connection,
      method,
      headers: { "user-agent": "countersign", "accept-encoding": "identity", ...headers },
      signal: deadline.signal,
      maxHeaderSize: maxHeaderBytes,
    });
    const connectTimer = setTimeout(
      () => deadline.fail({ failed: "timeout", why: `no connection within ${connectTimeoutMs} ms` }),
      connectTimeoutMs,
    );
    // Once there is a response, `read` handles its end and its errors.
    let hasResponse = false;
    request.on("socket", (socket) =>
      socket.once(isSecure ? "secureConnect" : "connect", () => clearTimeout(connectTimer)),
    );
    request.on("response", (response) => {
      hasResponse = true;
      read(response, maxBytes, resolve);
    });
    request.on("error", (error) => {
      if (!hasResponse) reject(error);
    });
    request.on("close", () => {
      clearTimeout(connectTimer);
      if (!hasResponse) reject(new Error("the connection closed without a response"));
    });
    request.end(body);
  });
}

/** Reads the body up to `maxBytes`. An error or an early end keeps the status and sets `complete` to false. */
function read(
  response: IncomingMessage,
  maxBytes: number,
  resolve: (result: OutboundResponse) => void,
): void {
  const chunks: Buffer[] = [];
  let remainingBytes = maxBytes;
  const finish = (complete: boolean) => {
    const body = Buffer.concat(chunks).toString("utf8");
    resolve({ status: response.statusCode ?? 0, headers: response.headers, body, complete });
    if (!complete) response.destroy();
  };
  response.on("error", () => finish(false));
  if (maxBytes === 0) {
    finish(false);
    return;
  }
  response.on("data", (chunk: Buffer) => {
    chunks.push(chunk.subarray(0, remainingBytes));
    remainingBytes -= chunk.length;
    if (remainingBytes < 0) finish(false);
  });
  response.on("end", () => finish(true));
  response.on("close", () => finish(false));
}

/** Returns a lookup function that always yields these checked addresses (against DNS rebinding). */
function pinAddresses(addresses: readonly string[]): LookupFunction {
  const checked = addresses.map((address) => ({ address, family: isIP(address) }));
  const [first] = checked;
  return (_name, { all }, callback) =>
    all ? callback(null, checked) : callback(null, first!.address, first!.family);
}

async function resolveAddresses(name: string): Promise<readonly string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address);
}

/** Shares a lookup in progress between callers: `dns.lookup` occupies threads of libuv's small pool. */
function once<T>(work: (name: string) => Promise<T>): (name: string) => Promise<T> {
  const inFlight = new Map<string, Promise<T>>();
  return (name) => {
    const running = inFlight.get(name) ?? work(name).finally(() => inFlight.delete(name));
    inFlight.set(name, running);
    return running;
  };
}
