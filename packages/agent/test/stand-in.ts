/**
 * A stand-in for the authorization server, for failures that a real one cannot produce on demand: connections that break
 * before or during a response, missing and malformed responses, and any order of error codes.
 */
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { SignJWT } from "jose";

export type Seen = { path: string; headers: IncomingHttpHeaders; form: URLSearchParams };
export type Reply =
  | { status: number; body?: unknown; headers?: Record<string, string> }
  /** Reads the request and closes the connection, before or during a 200 response. */
  | "hang up"
  | "hang up within"
  | "never";

export type StandIn = {
  issuer: string;
  /** Every request to an endpoint other than metadata. */
  seen: Seen[];
  /** Sent in turn; the last one is repeated. */
  metadata: Reply[];
  ask: Reply[];
  token: Reply[];
  jwks: Reply[];
  close(): Promise<void>;
};

export async function standIn(): Promise<StandIn> {
  const seen: Seen[] = [];
  const stand: StandIn = {
    issuer: "",
    seen,
    metadata: [],
    ask: [acknowledged()],
    token: [pending],
    jwks: [{ status: 404 }],
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  const server: Server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const path = request.url ?? "";
    if (request.method === "POST")
      seen.push({ path, headers: request.headers, form: new URLSearchParams(text) });
    const replies =
      path === "/oauth/token"
        ? stand.token
        : path.startsWith("/bc-authorize")
          ? stand.ask
          : path === "/jwks"
            ? stand.jwks
            : stand.metadata;
    const reply = (replies.length > 1 ? replies.shift() : replies[0])!;
    if (reply === "never") return;
    if (reply === "hang up") return void request.socket.destroy();
    if (reply === "hang up within") {
      response.writeHead(200, { "content-type": "application/json", "content-length": "500" });
      response.write('{"access_token":"ey', () => request.socket.destroy());
      return;
    }
    const body = typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body ?? {});
    response.writeHead(reply.status, { "content-type": "application/json", ...reply.headers }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stand.issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  stand.metadata = [{ status: 200, body: metadataOf(stand.issuer) }];
  return stand;
}

export function metadataOf(issuer: string) {
  return {
    issuer,
    token_endpoint: `${issuer}/oauth/token`,
    backchannel_authentication_endpoint: `${issuer}/bc-authorize`,
    backchannel_token_delivery_modes_supported: ["poll", "ping", "push"],
  };
}

export function acknowledged(members: object = {}): Reply {
  return { status: 200, body: { auth_req_id: "req-1", expires_in: 120, interval: 5, ...members } };
}

export function oauthError(error: string, members: object = {}, headers?: Record<string, string>): Reply {
  const status = error === "invalid_client" ? 401 : error === "temporarily_unavailable" ? 503 : 400;
  return { status, body: { error, error_description: `it is ${error}`, ...members }, headers };
}

export const pending = oauthError("authorization_pending");

export const accessToken = "eyJhbGciOiJFUzI1NiJ9.payload.signature";

export async function approved(stand: StandIn, action: object, members: object = {}): Promise<Reply> {
  return {
    status: 200,
    body: {
      access_token: accessToken,
      token_type: "Bearer",
      expires_in: 60,
      scope: "openid",
      id_token: await idToken({ iss: stand.issuer }),
      authorization_details: [action],
      ...members,
    },
  };
}

export function idToken(claims: Record<string, unknown> = {}): Promise<string> {
  return new SignJWT({ aud: "refunder", sub: "appr_1", ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .sign(new Uint8Array(32));
}

/** Creates a clock that only `sleep` advances. `wall` can be set independently, as an NTP daemon would. */
export function testClock() {
  const clock = {
    wall: Date.UTC(2026, 10, 22, 12),
    passed: 0,
    slept: [] as number[],
    now: () => clock.wall,
    elapsed: () => clock.passed,
    async sleep(milliseconds: number, signal?: AbortSignal) {
      signal?.throwIfAborted();
      clock.slept.push(milliseconds);
      clock.wall += milliseconds;
      clock.passed += milliseconds;
    },
  };
  return clock;
}

/** Creates a clock that `pass` advances. A sleep ends when its time has passed, or on its signal. */
export function handClock() {
  const sleepers = new Map<() => void, number>();
  const clock = {
    wall: Date.UTC(2026, 10, 22, 12),
    passed: 0,
    /** Returns the remaining milliseconds of every sleep. */
    asleep: () => [...sleepers.values()].map((until) => until - clock.passed),
    now: () => clock.wall,
    elapsed: () => clock.passed,
    sleep: (milliseconds: number, signal?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        if (milliseconds <= 0) return resolve();
        const end = (ended: () => void) => {
          sleepers.delete(wake);
          signal?.removeEventListener("abort", abort);
          ended();
        };
        const wake = () => end(resolve);
        const abort = () => end(() => reject(signal?.reason));
        signal?.addEventListener("abort", abort);
        sleepers.set(wake, clock.passed + milliseconds);
      }),
    pass(milliseconds: number) {
      clock.passed += milliseconds;
      clock.wall += milliseconds;
      for (const [wake, until] of sleepers) if (until <= clock.passed) wake();
    },
  };
  return clock;
}

/** Returns the error that the promise rejects with. Throws if it does not reject. */
export async function failureOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error("the promise did not reject");
}

/** Waits until the condition holds. Throws after 60 s. */
export async function until(holds: () => boolean): Promise<void> {
  const limit = performance.now() + 60_000;
  while (!holds()) {
    if (performance.now() > limit) throw new Error(`the condition did not hold within 60 s: ${holds}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
