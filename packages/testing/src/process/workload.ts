/**
 * A workload for servers that are killed, or whose database is: workers ask, decide, redeem and spend. Acknowledged
 * results are recorded and compared with the audit log at the end.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { actionDigest, cibaGrantType, type Entry } from "@countersign/protocol";
import { decodeJwt } from "jose";
import { createVirtualAuthenticator } from "../browser/virtual-authenticator.ts";
import {
  findForm,
  readCsrfToken,
  readHiddenFields,
  readPasskeyOptions,
  refund,
  toBasicAuth,
  toRequestId,
} from "../server/deployment.ts";

export type Client = { readonly id: string; readonly secret: string };

export type WorkloadTarget = {
  readonly issuer: string;
  /** Returns the URL of the server for the next request. */
  readonly server: () => string;
  readonly agent: Client;
  readonly api: Client;
  /** The session cookie of the approver. */
  readonly cookie: string;
  /** Aborted when no server will start again; retries end. */
  readonly stopped: AbortSignal;
};

/** What was acknowledged for one request. */
type Acknowledged = {
  request: string;
  decided?: "approve" | "deny";
  tokens: string[];
  reserved: string[];
  revoked: boolean;
  completed: boolean;
  /** Approved, and the response with the token did not arrive. */
  lost: boolean;
};

/** A response; `retried` counts the repetitions after a lost response or 503. */
export type RetriedReply = { readonly status: number; readonly text: string; readonly retried: number };

/** A response that takes longer fails the test. */
const responseTimeoutMs = 60_000;

export const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends a request, with retries while servers are down or return 503. */
export async function send(
  { server, stopped: gone }: Pick<WorkloadTarget, "server" | "stopped">,
  path: string,
  init: RequestInit,
): Promise<RetriedReply> {
  for (let retried = 0; ; retried += 1) {
    gone.throwIfAborted();
    const url = server() + path;
    const silent = AbortSignal.timeout(responseTimeoutMs);
    try {
      const signal = AbortSignal.any([gone, silent]);
      const answer = await fetch(url, { ...init, redirect: "manual", signal });
      const text = await answer.text();
      if (answer.status !== 503) return { status: answer.status, text, retried };
      assert.ok(Number(answer.headers.get("retry-after")) > 0, "503 has Retry-After");
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      assert.ok(!silent.aborted, `${init.method ?? "GET"} ${path} was not answered within a minute`);
      // The server died before it responded, or has not started yet.
    }
    await sleep(20);
  }
}

/** Sends a form, as an agent or an API does. */
export const sendForm = (
  target: Pick<WorkloadTarget, "server" | "stopped">,
  path: string,
  form: Record<string, string>,
  headers: Record<string, string>,
) => send(target, path, { method: "POST", headers, body: new URLSearchParams(form) });

/** Enrols a passkey with an invitation link and returns the session cookie. */
export async function enrolByLink(link: URL, issuer: string): Promise<string> {
  const passkey = createVirtualAuthenticator({ rpId: "localhost", origin: issuer });
  const page = await (await fetch(link)).text();
  const attestation = JSON.stringify(passkey.createAttestation(readPasskeyOptions(page)));
  const body = new URLSearchParams({ ...readHiddenFields(page), attestation, device: "Phone" });
  const answer = await fetch(link, {
    method: "POST",
    headers: { origin: issuer },
    body,
    redirect: "manual",
  });
  return (answer.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
}

/** The CSRF token of each session cookie. */
const csrfTokens = new Map<string, Promise<string>>();

/** Decides on the card as a browser does; reloads it after a lost response. Returns whether the verdict stands. */
export async function decideOnCard(
  target: Pick<WorkloadTarget, "issuer" | "server" | "cookie" | "stopped">,
  request: string,
  verdict: "approve" | "deny",
): Promise<boolean> {
  const { issuer, cookie } = target;
  const csrf =
    csrfTokens.get(cookie) ??
    readCsrfToken(async (path) => (await send(target, path, { headers: { cookie } })).text);
  csrfTokens.set(cookie, csrf);
  for (;;) {
    const { status, text } = await send(target, `/requests/${request}`, { headers: { cookie } });
    assert.equal(status, 200, text);
    const form = findForm(text, verdict);
    if (form === "") return text.includes(verdict === "approve" ? "Approved" : "Denied");
    const answer = await send(target, `/requests/${request}/decision`, {
      method: "POST",
      headers: { origin: issuer, cookie },
      body: new URLSearchParams({ ...readHiddenFields(form), csrf: await csrf, verdict }),
    });
    if (answer.status === 303) return true;
    assert.ok(answer.retried > 0, `${answer.status}: ${answer.text}`);
  }
}

export function computeDigest(
  token: string,
  action: { readonly type: string; readonly [field: string]: string },
) {
  const { act_type_hash: typeHash, aud: audience } = decodeJwt(token) as {
    act_type_hash: string;
    aud: string;
  };
  const { type, ...bound } = action;
  return actionDigest({ type, typeHash, audience, bound });
}

const computeAge = (token: string) => Math.round(Date.now() / 1_000 - Number(decodeJwt(token).iat));

export function createWorkload(target: WorkloadTarget, pick: () => number) {
  const { agent, api } = target;
  const acknowledged = new Map<string, Acknowledged>();
  let replyCount = 0;
  const post = async (path: string, form: Record<string, string>, client: Client, more = {}) => {
    const answer = await sendForm(target, path, form, { ...toBasicAuth(client), ...more });
    replyCount += 1;
    return answer;
  };

  /**
   * Runs `count` workers while `disturb` acts on the servers or their database; the first failure ends all. `disturb` can
   * check whether the run is over, and wait for a number of further responses so that each fault meets work.
   */
  async function runDuring(
    worker: string,
    count: number,
    disturb: (isOver: () => boolean, waitForReplies: (more: number) => Promise<void>) => Promise<void>,
  ): Promise<void> {
    let over = false;
    const working = Promise.all(
      Array.from({ length: count }, (_, n) => runWorker(`${worker}-${n}`, () => over)),
    );
    const waitForReplies = async (more: number) => {
      for (const enough = replyCount + more; replyCount < enough && !over; ) await sleep(2);
    };
    const disturbance = disturb(() => over, waitForReplies);
    try {
      await Promise.race([disturbance, working]);
      over = true;
      await working;
    } finally {
      over = true;
      await disturbance.catch(() => {});
    }
  }

  /** Runs one request after another until `stop` returns true, and finishes the current one. */
  async function runWorker(worker: string, stop: () => boolean): Promise<void> {
    for (let turn = 0; !stop(); turn += 1) {
      const action = { ...refund, order: `${worker}-${turn}` };
      const form = {
        scope: "openid",
        login_hint: "ada@example.com",
        authorization_details: JSON.stringify([action]),
        requested_expiry: "600",
      };
      const asked = JSON.parse(
        (await post("/bc-authorize", form, agent, { "idempotency-key": action.order })).text,
      );
      assert.ok(asked.auth_req_id, JSON.stringify(asked));
      const ticket: string = asked.auth_req_id;
      const request = toRequestId(ticket);
      const known: Acknowledged = {
        request,
        tokens: [],
        reserved: [],
        revoked: false,
        completed: false,
        lost: false,
      };
      assert.ok(!acknowledged.has(request), "an ask under a fresh key is a fresh request");
      acknowledged.set(request, known);

      // Half of the requests poll before the decision; all are polled twice, and at most one poll returns a token.
      const waiting = pick() < 0.5 ? [pollUntilDecided(ticket)] : [];
      const verdict = pick() < 0.8 ? "approve" : "deny";
      const deciding = decideOnCard(target, request, verdict);
      await Promise.race([deciding, ...waiting]);
      assert.ok(await deciding, "nobody else decides");
      known.decided = verdict;

      const polls = Array.from({ length: 2 - waiting.length }, () => pollUntilDecided(ticket));
      const answers = await Promise.all([...waiting, ...polls]);
      for (const { text } of answers) {
        const body = JSON.parse(text);
        if (body.access_token) known.tokens.push(body.access_token);
      }
      if (known.decided === "deny")
        assert.ok(
          answers.every(({ text }) => JSON.parse(text).error === "access_denied"),
          answers[0]?.text,
        );
      if (known.decided === "approve" && known.tokens.length === 0) {
        assert.ok(
          answers.some(({ retried }) => retried > 0),
          `an approval that was acknowledged gives a token, unless its answer was lost: ${answers[0]?.text}`,
        );
        known.lost = true;
      }
      if (known.tokens[0] !== undefined)
        await spend(known, known.tokens[0], computeDigest(known.tokens[0], action));
    }
  }

  /** Polls with a long poll until the response is final. */
  async function pollUntilDecided(ticket: string): Promise<RetriedReply> {
    const poll = { grant_type: cibaGrantType, auth_req_id: ticket };
    for (let retried = 0; ; ) {
      const answer = await post("/oauth/token", poll, agent, { prefer: "wait=10" });
      retried += answer.retried;
      const { error } = JSON.parse(answer.text);
      if (error !== "authorization_pending" && error !== "slow_down") return { ...answer, retried };
      await sleep(1_000);
    }
  }

  async function spend(known: Acknowledged, token: string, digest: string): Promise<void> {
    const spends = [randomBytes(16).toString("base64url"), randomBytes(16).toString("base64url")];
    const refused: string[] = [];
    const revoking = pick() < 0.3;
    await Promise.all([
      revoking && post("/revoke", { token }, agent).then(({ status }) => assert.equal(status, 200)),
      ...spends.map(async (spend_id) => {
        const reserve = { operation: "reserve", token, spend_id, act_digest: digest };
        const { status, text } = await post("/spend", reserve, api);
        if (status === 200) known.reserved.push(spend_id);
        else refused.push(text);
      }),
    ]);
    assert.ok(known.reserved.length <= 1, "one of two spends reserves the token");
    // An acknowledged revocation was before both spends, or the token was already reserved.
    known.revoked = revoking && known.reserved.length === 0;
    if (known.revoked) return;
    assert.equal(
      known.reserved.length,
      1,
      `of a token that nobody revoked, ${computeAge(token)} seconds old, one spend is taken: ${refused}`,
    );
    const completion = { operation: "complete", token, spend_id: known.reserved[0]! };
    known.completed = (await post("/spend", completion, api)).status === 200;
    assert.ok(known.completed);
  }

  /** Compares the log with what was acknowledged. Returns a summary. */
  function checkEntries(entries: readonly Entry[]): { readonly spent: number; readonly text: string } {
    const byRequest = Map.groupBy(entries, ({ request = "" }) => request);
    const count = (request: string, event: string) =>
      byRequest.get(request)?.filter((entry) => entry.event === event).length ?? 0;
    for (const { request, decided, tokens, reserved, revoked, completed, lost } of acknowledged.values()) {
      assert.equal(count(request, "request.created"), 1);
      if (decided === "approve") assert.equal(count(request, "request.approved"), 1);
      if (decided === "deny") assert.equal(count(request, "request.denied"), 1);
      assert.ok(count(request, "request.approved") + count(request, "request.denied") <= 1);
      assert.ok(tokens.length <= 1, "one approval, one token");
      assert.equal(count(request, "token.issued"), tokens.length + (lost ? 1 : 0));
      assert.equal(count(request, "token.reserved"), reserved.length);
      assert.equal(count(request, "token.revoked"), revoked ? 1 : 0);
      assert.equal(count(request, "token.completed"), completed ? 1 : 0);
    }
    const created = entries.filter(
      ({ event, request = "" }) => event === "request.created" && !excludedRequests.has(request),
    ).length;
    assert.equal(created, acknowledged.size, "nothing was asked twice");
    const spent = [...acknowledged.values()].filter(({ completed }) => completed).length;
    const revoked = [...acknowledged.values()].filter((one) => one.revoked).length;
    const lost = [...acknowledged.values()].filter((one) => one.lost).length;
    return {
      spent,
      text: `${acknowledged.size} requests, ${spent} spent, ${revoked} revoked, ${lost} tokens lost on the way and none doubled, ${entries.length} entries`,
    };
  }

  /** Requests that the workload did not make. */
  const excludedRequests = new Set<string>();
  return { runDuring, runWorker, checkEntries, excludedRequests };
}
