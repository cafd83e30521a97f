/**
 * A stand-in for the authorization server as an API sees it: real keys and tokens, a spend endpoint that enforces the
 * token's states, and scripted replies for failures that a real server cannot produce on demand.
 */
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { type JsonObject, partsDigest, proofAlgorithms } from "@countersign/protocol";
import { exportJWK, generateKeyPair, type JWTHeaderParameters, SignJWT } from "jose";

export const audience = "https://payments.example";
export const typeHash = "t".repeat(43);
export const start = Date.UTC(2026, 10, 22, 12);
/** `WWW-Authenticate` of a call without a token: both schemes. */
export const challenge = `Bearer realm="${audience}", DPoP realm="${audience}", algs="${proofAlgorithms.join(" ")}"`;

export type Reply =
  | { status: number; body?: unknown; headers?: Record<string, string> }
  | "hang up"
  | "hang up after";
export type Seen = { headers: IncomingHttpHeaders; form: URLSearchParams };
type Approved = { readonly type: string; readonly [field: string]: unknown };
type StoredToken = { digest: string; state: string; spendId?: string };

/**
 * Each reply replaces one response; afterwards the endpoints respond normally. "hang up after" processes the request and
 * closes the connection without a response.
 */
export type StandIn = {
  issuer: string;
  spends: Seen[];
  keyRequests: number;
  replies: Reply[];
  keyReplies: Reply[];
  metadataReplies: Reply[];
  /** Digest and spend state by token. */
  tokens: Map<string, StoredToken>;
  /** Issues a token for one action, or for several approved as one. */
  issue(
    action: Approved | readonly Approved[],
    claims?: JsonObject,
    header?: Partial<JWTHeaderParameters>,
  ): Promise<string>;
  /** Signs with a new key from now on, published beside the old ones or, with `keep: false`, instead of them. */
  rotate(alg?: string, options?: { keep: boolean }): Promise<void>;
  close(): Promise<void>;
};

export async function standIn(): Promise<StandIn> {
  let keys: JsonObject[] = [];
  let signing: { privateKey: CryptoKey; kid: string; alg: string };
  const stand: StandIn = {
    issuer: "",
    spends: [],
    keyRequests: 0,
    replies: [],
    keyReplies: [],
    metadataReplies: [],
    tokens: new Map(),
    async issue(action, claims = {}, header = {}) {
      const actions = Array.isArray(action) ? (action as Approved[]) : [action as Approved];
      const hashes = actions.map((_, at) => (at === 0 ? typeHash : `${at}`.repeat(43)));
      const parts = actions.map(({ type, ...bound }, at) => {
        return { type, typeHash: hashes[at]!, bound: bound as JsonObject };
      });
      const digest = partsDigest(audience, parts);
      const token = await new SignJWT({
        iss: stand.issuer,
        aud: audience,
        sub: "appr_1",
        client_id: "refunder",
        jti: `tok_${stand.tokens.size + 1}`,
        iat: start / 1000,
        exp: start / 1000 + 60,
        authorization_details: actions,
        act_digest: digest,
        ...(actions.length === 1 ? { act_type_hash: typeHash } : { act_type_hashes: hashes }),
        approved_by: ["appr_1"],
        ...claims,
      })
        .setProtectedHeader({ alg: signing.alg, typ: "at+jwt", kid: signing.kid, ...header })
        .sign(signing.privateKey);
      stand.tokens.set(token, { digest, state: "issued" });
      return token;
    },
    async rotate(alg = "ES256", { keep } = { keep: true }) {
      const { privateKey, publicKey } = await generateKeyPair(alg);
      const kid = `key-${alg}-${keys.length}`;
      keys = [...(keep ? keys : []), { ...(await exportJWK(publicKey)), kid, alg, use: "sig" } as JsonObject];
      signing = { privateKey, kid, alg };
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  await stand.rotate();

  const server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const form = new URLSearchParams(text);
    let reply: Reply | undefined;
    let answer: Exclude<Reply, string>;
    if (request.url === "/jwks") {
      stand.keyRequests += 1;
      reply = stand.keyReplies.shift();
      answer = { status: 200, body: { keys } };
    } else if (request.url === "/spend") {
      stand.spends.push({ headers: request.headers, form });
      reply = stand.replies.shift();
      answer = reply === undefined || reply === "hang up after" ? spend(stand.tokens, form) : { status: 500 };
    } else {
      reply = stand.metadataReplies.shift();
      answer = { status: 200, body: metadataOf(stand.issuer) };
    }
    if (reply === "hang up" || reply === "hang up after") return void request.socket.destroy();
    const { status, body, headers } = reply ?? answer;
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(typeof body === "string" ? body : JSON.stringify(body ?? {}));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stand.issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return stand;
}

export function metadataOf(issuer: string) {
  return { issuer, jwks_uri: `${issuer}/jwks`, spend_endpoint: `${issuer}/spend` };
}

/** The spend endpoint without expiry: a token goes from issued to reserved to completed or failed, and never back. */
function spend(tokens: StandIn["tokens"], form: URLSearchParams): Exclude<Reply, string> {
  const [operation, token, spendId] = ["operation", "token", "spend_id"].map((name) => form.get(name) ?? "");
  const stored = tokens.get(token!);
  const refuse = (error: string) => ({ status: 409, body: { error, error_description: error } });
  if (!stored) return refuse("invalid_token");
  const ours = stored.spendId === spendId;
  if (operation === "reserve") {
    if (stored.digest !== form.get("act_digest")) return refuse("digest_mismatch");
    if (stored.state !== "issued" && !(stored.state === "reserved" && ours)) return refuse("already_spent");
    Object.assign(stored, { state: "reserved", spendId });
  } else {
    const ended = operation === "complete" ? "completed" : "failed";
    if (!ours || (stored.state !== "reserved" && stored.state !== ended)) return refuse("already_spent");
    stored.state = ended;
  }
  const claims = JSON.parse(Buffer.from(token!.split(".")[1]!, "base64url").toString());
  const { jti, client_id, sub, approved_by, authorization_details } = claims;
  const body = {
    state: stored.state,
    spend_id: spendId,
    jti,
    client_id,
    sub,
    approved_by,
    act_digest: stored.digest,
    authorization_details,
  };
  return { status: 200, body };
}

/** Creates a clock that only `sleep` advances. */
export function testClock() {
  const clock = {
    at: start,
    slept: [] as number[],
    now: () => clock.at,
    async sleep(milliseconds: number) {
      clock.slept.push(milliseconds);
      clock.at += milliseconds;
    },
  };
  return clock;
}

/** Waits until the condition holds. Throws after 60 s. */
export async function until(holds: () => boolean): Promise<void> {
  const limit = performance.now() + 60_000;
  while (!holds()) {
    if (performance.now() > limit) throw new Error(`the condition did not hold within 60 s: ${holds}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
