/**
 * Calls to URLs that others have registered, and that must not be turned against us: to agents' callbacks, for agents'
 * keys. The URL is checked again (`client/endpoint.ts`), its name resolved, every address checked, and the connection
 * made to those very addresses, so that an answer of DNS that changes in between changes nothing. No redirect is
 * followed, and size and time are bounded. It does not know what is sent, nor what an answer means.
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
  /** How much of the answer's body is read. With 0 the status is the whole answer. */
  readonly maxBytes: number;
  /** For all of it, from the name to the last byte. Ten seconds unless said otherwise. */
  readonly timeoutMs?: number;
  /** Ends the call early. */
  readonly signal?: AbortSignal;
};

export type OutboundResponse = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** UTF-8, as far as it was read. */
  readonly body: string;
  /** False where there was more of it than is read, or than came in time. */
  readonly complete: boolean;
};

/** `refused`: by the guard, and will be again. `unreachable`: now. `late`: no status in time. `stopped`: by the signal. */
export type OutboundFailure = {
  readonly failed: "refused" | "unreachable" | "timeout" | "stopped";
  /** For the operator alone: it can name addresses of the inside. */
  readonly why: string;
};

export type Outbound = (request: OutboundRequest) => Promise<OutboundResponse | OutboundFailure>;

export type OutboundSettings = OutboundPolicy & {
  /** PEM: authorities to trust beside the usual ones. */
  readonly ca?: string | undefined;
  /** All addresses of a name. */
  readonly resolve?: (name: string) => Promise<readonly string[]>;
};

const defaultTimeoutMs = 10_000;
const connectTimeoutMs = 5_000;
const maxHeaderBytes = 16_384;

export function createOutbound({ ca, resolve = resolveAddresses, ...policy }: OutboundSettings): Outbound {
  // One connection for one call: nothing stays open to a host that an agent has chosen, and no session is taken up again.
  const httpAgent = new HttpAgent({ keepAlive: false });
  const httpsAgent = new HttpsAgent({
    keepAlive: false,
    maxCachedSessions: 0,
    ...(ca !== undefined && {
      secureContext: createSecureContext({ ca: [...getCACertificates("default"), ca] }),
    }),
  });
  const addressesOf = once(resolve);

  /** The addresses that the URL leads to, all of them allowed. */
  async function resolveAllowedAddresses(url: URL): Promise<readonly string[] | OutboundFailure> {
    const host = readHost(url);
    const addresses = isIP(host) ? [host] : await addressesOf(host);
    if (addresses.length === 0) return { failed: "unreachable", why: `${host} has no address` };
    const forbidden = addresses.find((address) => !isAddressAllowed(address, url, policy));
    return forbidden === undefined
      ? addresses
      : { failed: "refused", why: `${host} leads to ${forbidden}, which is not public` };
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
      return deadline.failure() ?? { failed: "unreachable", why: messageOf(error) };
    } finally {
      deadline.end();
    }
  };
}

type Deadline = ReturnType<typeof startDeadline>;

/** Ends the call when its time is up, or when the caller says so. */
function startDeadline({ timeoutMs = defaultTimeoutMs, signal }: OutboundRequest) {
  const controller = new AbortController();
  let failure: OutboundFailure | undefined;
  const fail = (reason: OutboundFailure) => {
    failure ??= reason;
    controller.abort();
  };
  const stop = () => fail({ failed: "stopped", why: "the call was ended" });
  const timer = setTimeout(
    () => fail({ failed: "timeout", why: `no answer within ${timeoutMs} ms` }),
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
    // From then on it is the answer that ends, early or not.
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
      if (!hasResponse) reject(new Error("the connection ended without an answer"));
    });
    request.end(body);
  });
}

/** What of the body is wanted; whatever ends it early, the status stands. */
function read(
  response: IncomingMessage,
  maxBytes: number,
  resolve: (answer: OutboundResponse) => void,
): void {
  const chunks: Buffer[] = [];
  let remainingBytes = maxBytes;
  const answer = (complete: boolean) => {
    const body = Buffer.concat(chunks).toString("utf8");
    resolve({ status: response.statusCode ?? 0, headers: response.headers, body, complete });
    if (!complete) response.destroy();
  };
  response.on("error", () => answer(false));
  if (maxBytes === 0) {
    answer(false);
    return;
  }
  response.on("data", (chunk: Buffer) => {
    chunks.push(chunk.subarray(0, remainingBytes));
    remainingBytes -= chunk.length;
    if (remainingBytes < 0) answer(false);
  });
  response.on("end", () => answer(true));
  response.on("close", () => answer(false));
}

/** Connects to these addresses, whatever the name stands for by now (DNS rebinding). */
function pinAddresses(addresses: readonly string[]): LookupFunction {
  const checked = addresses.map((address) => ({ address, family: isIP(address) }));
  const [first] = checked;
  return (_name, { all }, callback) =>
    all ? callback(null, checked) : callback(null, first!.address, first!.family);
}

async function resolveAddresses(name: string): Promise<readonly string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address);
}

/** A name that is being resolved is not resolved a second time beside it: there are few threads for that, and slow names. */
function once<T>(work: (name: string) => Promise<T>): (name: string) => Promise<T> {
  const inFlight = new Map<string, Promise<T>>();
  return (name) => {
    const running = inFlight.get(name) ?? work(name).finally(() => inFlight.delete(name));
    inFlight.set(name, running);
    return running;
  };
}

function messageOf(error: unknown): string {
  // Where several addresses were tried, each has its own error, and the sum of them has none.
  if (error instanceof AggregateError) return error.errors.map(messageOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}
