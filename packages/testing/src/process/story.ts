/**
 * Agents that ask, an approver who decides, and an API that spends, story after story, while servers are killed or their
 * database is. Whoever was answered wrote the answer down; afterwards the log is held against what was written down.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { actionDigest, cibaGrantType, type Entry } from "@countersign/protocol";
import { decodeJwt } from "jose";
import { createVirtualAuthenticator } from "../browser/virtual-authenticator.ts";
import { basic, formOf, hidden, optionsIn, refund, requestIdOf } from "../server/deployment.ts";

export type Client = { readonly id: string; readonly secret: string };

export type StoryTarget = {
  readonly issuer: string;
  /** Where to send the next request: one of the servers that share the store. */
  readonly server: () => string;
  readonly agent: Client;
  readonly api: Client;
  /** The approver's. */
  readonly cookie: string;
  /** That no server will be there any more: whoever still tries gives up. */
  readonly gone: AbortSignal;
};

/** What was acknowledged, request by request. */
type Told = {
  request: string;
  decided?: "approve" | "deny";
  tokens: string[];
  reserved: string[];
  revoked: boolean;
  completed: boolean;
  /** Approved, and the answer that held the token did not arrive. */
  lost: boolean;
};

/** `retried` is how often it was sent again: an answer was lost, or was 503. */
export type Heard = { readonly status: number; readonly text: string; readonly retried: number };

/** Longer than any answer takes: one that does not come for so long will not come. */
const patienceMs = 60_000;

export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends until somebody answers: while servers are down, or cannot reach their database. */
export async function send(
  { server, gone }: Pick<StoryTarget, "server" | "gone">,
  path: string,
  init: RequestInit,
): Promise<Heard> {
  for (let retried = 0; ; retried += 1) {
    gone.throwIfAborted();
    const url = server() + path;
    const silent = AbortSignal.timeout(patienceMs);
    try {
      const signal = AbortSignal.any([gone, silent]);
      const answer = await fetch(url, { ...init, redirect: "manual", signal });
      const text = await answer.text();
      if (answer.status !== 503) return { status: answer.status, text, retried };
      assert.ok(Number(answer.headers.get("retry-after")) > 0, "503 says when to come again");
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      assert.ok(!silent.aborted, `${init.method ?? "GET"} ${path} was not answered within a minute`);
      // The server died before it answered, or is not there yet.
    }
    await pause(20);
  }
}

/** As an agent or an API sends it. */
export const sendForm = (
  stage: Pick<StoryTarget, "server" | "gone">,
  path: string,
  form: Record<string, string>,
  headers: Record<string, string>,
) => send(stage, path, { method: "POST", headers, body: new URLSearchParams(form) });

/** Enrols a soft passkey by an invitation, and answers the cookie of its session. */
export async function enrol(link: URL, issuer: string): Promise<string> {
  const passkey = createVirtualAuthenticator({ rpId: "localhost", origin: issuer });
  const page = await (await fetch(link)).text();
  const attestation = JSON.stringify(passkey.attestation(optionsIn(page)));
  const body = new URLSearchParams({ ...hidden(page), attestation, device: "Phone" });
  const answer = await fetch(link, {
    method: "POST",
    headers: { origin: issuer },
    body,
    redirect: "manual",
  });
  return (answer.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
}

/** As a browser would: reads the card, answers it, and after a broken answer reads it again. */
export async function decide(
  stage: Pick<StoryTarget, "issuer" | "server" | "cookie" | "gone">,
  request: string,
  verdict: "approve" | "deny",
): Promise<boolean> {
  const { issuer, cookie } = stage;
  for (;;) {
    const { status, text } = await send(stage, `/requests/${request}`, { headers: { cookie } });
    assert.equal(status, 200, text);
    const form = formOf(text, verdict);
    if (form === "") return text.includes(verdict === "approve" ? "Approved" : "Denied");
    const answer = await send(stage, `/requests/${request}/decision`, {
      method: "POST",
      headers: { origin: issuer, cookie },
      body: new URLSearchParams({ ...hidden(form), verdict }),
    });
    if (answer.status === 303) return true;
    assert.ok(answer.retried > 0, `${answer.status}: ${answer.text}`);
  }
}

export function digestFor(
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

const ageOf = (token: string) => Math.round(Date.now() / 1_000 - Number(decodeJwt(token).iat));

export function createStories(stage: StoryTarget, pick: () => number) {
  const { agent, api } = stage;
  const told = new Map<string, Told>();
  let answersHeard = 0;
  const post = async (path: string, form: Record<string, string>, client: Client, more = {}) => {
    const answer = await sendForm(stage, path, form, { ...basic(client), ...more });
    answersHeard += 1;
    return answer;
  };

  /**
   * So many at work while something is done to the servers or their database; whoever finds a fault ends it. `harm` hears
   * whether it is over, and can wait for so many more answers: then every blow meets work, on a slow machine as well.
   */
  async function during(
    worker: string,
    count: number,
    harm: (isOver: () => boolean, answered: (more: number) => Promise<void>) => Promise<void>,
  ): Promise<void> {
    let over = false;
    const working = Promise.all(Array.from({ length: count }, (_, n) => work(`${worker}-${n}`, () => over)));
    const answered = async (more: number) => {
      for (const enough = answersHeard + more; answersHeard < enough && !over; ) await pause(2);
    };
    const harming = harm(() => over, answered);
    try {
      await Promise.race([harming, working]);
      over = true;
      await working;
    } finally {
      over = true;
      await harming.catch(() => {});
    }
  }

  /** One story after another, until told to stop; what is under way is then finished. */
  async function work(worker: string, stop: () => boolean): Promise<void> {
    for (let story = 0; !stop(); story += 1) {
      const action = { ...refund, order: `${worker}-${story}` };
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
      const request = requestIdOf(ticket);
      const known: Told = {
        request,
        tokens: [],
        reserved: [],
        revoked: false,
        completed: false,
        lost: false,
      };
      assert.ok(!told.has(request), "an ask under a fresh key is a fresh request");
      told.set(request, known);

      // Some wait for the decision, on a poll that is held or broken off; all ask twice, and at most one is given a token.
      const waiting = pick() < 0.5 ? [until(ticket)] : [];
      const verdict = pick() < 0.8 ? "approve" : "deny";
      const deciding = decide(stage, request, verdict);
      await Promise.race([deciding, ...waiting]);
      assert.ok(await deciding, "nobody else decides");
      known.decided = verdict;

      const polls = Array.from({ length: 2 - waiting.length }, () => until(ticket));
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
        await spend(known, known.tokens[0], digestFor(known.tokens[0], action));
    }
  }

  /** Polls, and is held where nobody has decided, until there is more to say than that. */
  async function until(ticket: string): Promise<Heard> {
    const poll = { grant_type: cibaGrantType, auth_req_id: ticket };
    for (let retried = 0; ; ) {
      const answer = await post("/oauth/token", poll, agent, { prefer: "wait=10" });
      retried += answer.retried;
      const { error } = JSON.parse(answer.text);
      if (error !== "authorization_pending" && error !== "slow_down") return { ...answer, retried };
      await pause(1_000);
    }
  }

  async function spend(known: Told, token: string, digest: string): Promise<void> {
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
    // The revocation was acknowledged: it came before both spends, or found the token in use.
    known.revoked = revoking && known.reserved.length === 0;
    if (known.revoked) return;
    assert.equal(
      known.reserved.length,
      1,
      `of a token that nobody revoked, ${ageOf(token)} seconds old, one spend is taken: ${refused}`,
    );
    const completion = { operation: "complete", token, spend_id: known.reserved[0]! };
    known.completed = (await post("/spend", completion, api)).status === 200;
    assert.ok(known.completed);
  }

  /** Holds the log against what was acknowledged. Answers what there was, for people. */
  function check(entries: readonly Entry[]): { readonly spent: number; readonly text: string } {
    const byRequest = Map.groupBy(entries, ({ request = "" }) => request);
    const count = (request: string, event: string) =>
      byRequest.get(request)?.filter((entry) => entry.event === event).length ?? 0;
    for (const { request, decided, tokens, reserved, revoked, completed, lost } of told.values()) {
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
      ({ event, request = "" }) => event === "request.created" && !others.has(request),
    ).length;
    assert.equal(created, told.size, "nothing was asked twice");
    const spent = [...told.values()].filter(({ completed }) => completed).length;
    const revoked = [...told.values()].filter((one) => one.revoked).length;
    const lost = [...told.values()].filter((one) => one.lost).length;
    return {
      spent,
      text: `${told.size} requests, ${spent} spent, ${revoked} revoked, ${lost} tokens lost on the way and none doubled, ${entries.length} entries`,
    };
  }

  /** Requests that are no part of a story. */
  const others = new Set<string>();
  return { during, work, check, others };
}
