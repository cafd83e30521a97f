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
import { checkEndpoint, hostOf, mayReach, type Reach } from "../client/endpoint.ts";

export type Outgoing = {
  readonly url: string;
  readonly method: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** How much of the answer's body is read. With 0 the status is the whole answer. */
  readonly mostBytes: number;
  /** For all of it, from the name to the last byte. Ten seconds unless said otherwise. */
  readonly timeoutMs?: number;
  /** Ends the call early. */
  readonly signal?: AbortSignal;
};

export type Answer = {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** UTF-8, as far as it was read. */
  readonly body: string;
  /** False where there was more of it than is read, or than came in time. */
  readonly whole: boolean;
};

/** `refused`: by the guard, and will be again. `unreachable`: now. `late`: no status in time. `stopped`: by the signal. */
export type Failure = {
  readonly failed: "refused" | "unreachable" | "late" | "stopped";
  /** For the operator alone: it can name addresses of the inside. */
  readonly why: string;
};

export type Outbound = (outgoing: Outgoing) => Promise<Answer | Failure>;

export type OutboundSettings = Reach & {
  /** PEM: authorities to trust beside the usual ones. */
  readonly ca?: string | undefined;
  /** All addresses of a name. */
  readonly resolve?: (name: string) => Promise<readonly string[]>;
};

const wholeMs = 10_000;
const connectMs = 5_000;
const mostHeaderBytes = 16_384;

export function createOutbound({ ca, resolve = everyAddress, ...reach }: OutboundSettings): Outbound {
  // One connection for one call: nothing stays open to a host that an agent has chosen, and no session is taken up again.
  const plain = new HttpAgent({ keepAlive: false });
  const secure = new HttpsAgent({
    keepAlive: false,
    maxCachedSessions: 0,
    ...(ca !== undefined && {
      secureContext: createSecureContext({ ca: [...getCACertificates("default"), ca] }),
    }),
  });
  const addressesOf = once(resolve);

  /** The addresses that the URL leads to, all of them allowed. */
  async function checkedAddresses(url: URL): Promise<readonly string[] | Failure> {
    const host = hostOf(url);
    const addresses = isIP(host) ? [host] : await addressesOf(host);
    if (addresses.length === 0) return { failed: "unreachable", why: `${host} has no address` };
    const inside = addresses.find((address) => !mayReach(address, url, reach));
    return inside === undefined
      ? addresses
      : { failed: "refused", why: `${host} leads to ${inside}, which is not public` };
  }

  return async (outgoing) => {
    const url = checkEndpoint(outgoing.url, reach);
    if ("refused" in url) return { failed: "refused", why: `${outgoing.url}: ${url.why}` };
    const limit = startLimit(outgoing);
    try {
      const addresses = await Promise.race([checkedAddresses(url), limit.reached]);
      if ("failed" in addresses) return addresses;
      const agent = url.protocol === "https:" ? secure : plain;
      return await exchange(url, outgoing, { agent, lookup: pinned(addresses) }, limit);
    } catch (error) {
      return limit.failure() ?? { failed: "unreachable", why: messageOf(error) };
    } finally {
      limit.end();
    }
  };
}

type Limit = ReturnType<typeof startLimit>;

/** Ends the call when its time is up, or when the caller says so. */
function startLimit({ timeoutMs = wholeMs, signal }: Outgoing) {
  const over = new AbortController();
  let failure: Failure | undefined;
  const fail = (reason: Failure) => {
    failure ??= reason;
    over.abort();
  };
  const stop = () => fail({ failed: "stopped", why: "the call was ended" });
  const timer = setTimeout(
    () => fail({ failed: "late", why: `no answer within ${timeoutMs} ms` }),
    timeoutMs,
  );
  const reached = new Promise<Failure>((resolve) =>
    over.signal.addEventListener("abort", () => resolve(failure!), { once: true }),
  );
  if (signal?.aborted) stop();
  signal?.addEventListener("abort", stop, { once: true });
  return {
    signal: over.signal,
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
  { method, headers, body, mostBytes }: Outgoing,
  way: { readonly agent: HttpAgent; readonly lookup: LookupFunction },
  limit: Limit,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const isSecure = url.protocol === "https:";
    const request = (isSecure ? overHttps : overHttp)(url, {
      ...way,
      method,
      headers: { "user-agent": "countersign", "accept-encoding": "identity", ...headers },
      signal: limit.signal,
      maxHeaderSize: mostHeaderBytes,
    });
    const patience = setTimeout(
      () => limit.fail({ failed: "late", why: `no connection within ${connectMs} ms` }),
      connectMs,
    );
    // From then on it is the answer that ends, early or not.
    let answered = false;
    request.on("socket", (socket) =>
      socket.once(isSecure ? "secureConnect" : "connect", () => clearTimeout(patience)),
    );
    request.on("response", (response) => {
      answered = true;
      read(response, mostBytes, resolve);
    });
    request.on("error", (error) => {
      if (!answered) reject(error);
    });
    request.on("close", () => {
      clearTimeout(patience);
      if (!answered) reject(new Error("the connection ended without an answer"));
    });
    request.end(body);
  });
}

/** What of the body is wanted; whatever ends it early, the status stands. */
function read(response: IncomingMessage, mostBytes: number, resolve: (answer: Answer) => void): void {
  const chunks: Buffer[] = [];
  let room = mostBytes;
  const answer = (whole: boolean) => {
    const body = Buffer.concat(chunks).toString("utf8");
    resolve({ status: response.statusCode ?? 0, headers: response.headers, body, whole });
    if (!whole) response.destroy();
  };
  response.on("error", () => answer(false));
  if (mostBytes === 0) {
    answer(false);
    return;
  }
  response.on("data", (chunk: Buffer) => {
    chunks.push(chunk.subarray(0, room));
    room -= chunk.length;
    if (room < 0) answer(false);
  });
  response.on("end", () => answer(true));
  response.on("close", () => answer(false));
}

/** Connects to these addresses, whatever the name stands for by now (DNS rebinding). */
function pinned(addresses: readonly string[]): LookupFunction {
  const checked = addresses.map((address) => ({ address, family: isIP(address) }));
  const [first] = checked;
  return (_name, { all }, callback) =>
    all ? callback(null, checked) : callback(null, first!.address, first!.family);
}

async function everyAddress(name: string): Promise<readonly string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address);
}

/** A name that is being resolved is not resolved a second time beside it: there are few threads for that, and slow names. */
function once<T>(work: (name: string) => Promise<T>): (name: string) => Promise<T> {
  const underWay = new Map<string, Promise<T>>();
  return (name) => {
    const running = underWay.get(name) ?? work(name).finally(() => underWay.delete(name));
    underWay.set(name, running);
    return running;
  };
}

function messageOf(error: unknown): string {
  // Where several addresses were tried, each has its own error, and the sum of them has none.
  if (error instanceof AggregateError) return error.errors.map(messageOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}
