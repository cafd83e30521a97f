/**
 * The server process is killed with SIGKILL at random moments, its start among them, while agents ask, poll, hold polls and
 * revoke, an approver decides, and an API spends. Whoever was answered wrote the answer down; afterwards the store and the
 * log are held against what was written down. A seeded handful of kills normally; with COUNTERSIGN_LONG=1 five hundred, or
 * COUNTERSIGN_KILLS.
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { actionDigest, cibaGrantType, type Entry } from "@countersign/protocol";
import { decodeJwt } from "jose";
import { basic, formOf, hidden, optionsIn, refund, requestIdOf, rules } from "./deployment.ts";
import { freePort } from "./secure-fetch.ts";
import { killProcess, random, spawnServer, startProcess } from "./server-process.ts";
import { createSoftPasskey } from "./soft-passkey.ts";

const kills = process.env.COUNTERSIGN_LONG ? Number(process.env.COUNTERSIGN_KILLS ?? 500) : 6;
const seed = Number(process.env.COUNTERSIGN_SEED ?? 20261122);
const workers = 6;
const main = new URL("../src/main.ts", import.meta.url).pathname;
const run = promisify(execFile);

const folder = mkdtempSync(join(tmpdir(), "countersign-kill-"));
const configuration = join(folder, "countersign.yaml");
let issuer = "";
let server: ChildProcess | undefined;
let agent = { id: "agent-1", secret: "" };
let api = { id: "refunds-api", secret: "" };
let cookie = "";

const command = async (...words: string[]) =>
  (
    await run(process.execPath, [main, ...words, "--config", configuration], {
      maxBuffer: 2 ** 30,
    })
  ).stdout;
const secretIn = (text: string) => /client_secret=(\S+)/.exec(text)?.[1] ?? "";

/** Sends until somebody answers: while the server is down, and where it dies before it answers. `tries` counts. */
async function send(path: string, form: Record<string, string>, headers: Record<string, string>) {
  for (let tries = 1; ; tries += 1) {
    try {
      const init = { method: "POST", headers, body: new URLSearchParams(form), redirect: "manual" } as const;
      const answer = await fetch(issuer + path, init);
      const text = await answer.text();
      return { status: answer.status, text, tries };
    } catch (error) {
      if (gone) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** What was acknowledged, request by request. */
type Told = {
  request: string;
  decided?: "approve" | "deny";
  tokens: string[];
  reserved: string[];
  revoked: boolean;
  completed: boolean;
  lost: boolean;
};
const told = new Map<string, Told>();

/** That no server will be started any more. */
let gone = false;

/** One story after another, until told to stop; what is under way is then finished. */
async function work(worker: number, pick: () => number, stop: () => boolean): Promise<void> {
  for (let story = 0; !stop(); story += 1) {
    const action = { ...refund, order: `${worker}-${story}` };
    const form = {
      scope: "openid",
      login_hint: "ada@example.com",
      authorization_details: JSON.stringify([action]),
      requested_expiry: "600",
    };
    const key = { ...basic(agent), "idempotency-key": `${worker}-${story}` };
    const asked = JSON.parse((await send("/bc-authorize", form, key)).text);
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
    const decided = await decide(request, verdict);
    if (decided) known.decided = verdict;

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
        answers.some(({ tries }) => tries > 1),
        "an approval that was acknowledged gives a token, unless its answer was lost",
      );
      known.lost = true;
    }
    const [token] = known.tokens;
    if (token === undefined) continue;
    const { act_type_hash: typeHash, aud: audience } = decodeJwt(token) as {
      act_type_hash: string;
      aud: string;
    };
    const { type, ...bound } = action;
    const digest = actionDigest({ type, typeHash, audience, bound });
    const spends = [randomBytes(16).toString("base64url"), randomBytes(16).toString("base64url")];
    const refused: string[] = [];
    const revoking = pick() < 0.3;
    await Promise.all([
      revoking && send("/revoke", { token }, basic(agent)).then(({ status }) => assert.equal(status, 200)),
      ...spends.map(async (spend_id) => {
        const reserve = { operation: "reserve", token, spend_id, act_digest: digest };
        const { status, text } = await send("/spend", reserve, basic(api));
        if (status === 200) known.reserved.push(spend_id);
        else refused.push(text);
      }),
    ]);
    assert.ok(known.reserved.length <= 1, "one of two spends reserves the token");
    // The revocation was acknowledged: it came before both spends, or found the token in use.
    known.revoked = revoking && known.reserved.length === 0;
    if (known.revoked) continue;
    assert.equal(known.reserved.length, 1, `of a token that nobody revoked one spend is taken: ${refused}`);
    const completion = { operation: "complete", token, spend_id: known.reserved[0]! };
    known.completed = (await send("/spend", completion, basic(api))).status === 200;
    assert.ok(known.completed);
  }
}

/** Polls, and is held where nobody has decided, until there is more to say than that. `tries` counts. */
async function until(ticket: string) {
  const poll = { grant_type: cibaGrantType, auth_req_id: ticket };
  for (let tries = 0; ; ) {
    const answer = await send("/oauth/token", poll, { ...basic(agent), prefer: "wait=10" });
    tries += answer.tries;
    const { error } = JSON.parse(answer.text);
    if (error !== "authorization_pending" && error !== "slow_down") return { ...answer, tries };
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

/** As a browser would: reads the card, answers it, and after a broken answer reads it again. */
async function decide(request: string, verdict: "approve" | "deny"): Promise<boolean> {
  for (;;) {
    try {
      const page = await (await fetch(`${issuer}/requests/${request}`, { headers: { cookie } })).text();
      const form = formOf(page, verdict);
      if (form === "") return page.includes(verdict === "approve" ? "Approved" : "Denied");
      const body = new URLSearchParams({ ...hidden(form), verdict });
      const answer = await fetch(`${issuer}/requests/${request}/decision`, {
        method: "POST",
        headers: { origin: issuer, cookie },
        body,
        redirect: "manual",
      });
      await answer.text();
      if (answer.status === 303) return true;
    } catch (error) {
      if (gone) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

before(async () => {
  const port = await freePort();
  issuer = `http://localhost:${port}`;
  const text = rules
    .replaceAll("http://localhost:4400", issuer)
    .replace("port: 4400", `port: ${port}`)
    // However slow the machine is to start a server, no token ends by itself.
    .replaceAll("token_lifetime: 60", "token_lifetime: 300")
    .replace(
      "waiting_per_agent: 20, asks_per_hour: 10000",
      "waiting_per_agent: 1000, asks_per_hour: 100000, poll_interval: 1",
    );
  writeFileSync(configuration, text);
  await command("init");
  agent = { ...agent, secret: secretIn(await command("agent", "add", agent.id, "--type", "refund")) };
  api = { ...api, secret: secretIn(await command("api", "add", api.id, "--api", "refunds")) };
  const link = new URL(
    (await command("approver", "invite", "ada@example.com")).trim().split("\n").at(-1) ?? "",
  );
  server = await startProcess(configuration);
  const passkey = createSoftPasskey({ rpId: "localhost", origin: issuer });
  const page = await (await fetch(link)).text();
  const attestation = JSON.stringify(passkey.attestation(optionsIn(page)));
  const body = new URLSearchParams({ ...hidden(page), attestation, device: "Phone" });
  const enrolled = await fetch(link, {
    method: "POST",
    headers: { origin: issuer },
    body,
    redirect: "manual",
  });
  cookie = (enrolled.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
});
after(async () => {
  gone = true;
  await killProcess(server);
  rmSync(folder, { recursive: true });
});

test(`killed at ${kills} random moments (seed ${seed}), the server loses nothing acknowledged and doubles nothing`, {
  timeout: kills * 20_000,
}, async (context) => {
  const pick = random(seed);
  let over = false;
  const working = Promise.all(Array.from({ length: workers }, (_, worker) => work(worker, pick, () => over)));
  // Whoever finds something wrong ends it for all of them.
  working.catch(() => {
    over = true;
  });
  for (let round = 0; round < kills; round += 1) {
    await Promise.race([new Promise((resolve) => setTimeout(resolve, 50 + pick() * 700)), working]);
    await killProcess(server);
    // One in five is killed before it listens, or just after: what it does then is not to be trusted to be whole either.
    for (; round + 1 < kills && pick() < 0.2; round += 1) {
      server = spawnServer(configuration);
      await new Promise((resolve) => setTimeout(resolve, 200 + pick() * 600));
      await killProcess(server);
    }
    server = await startProcess(configuration);
  }
  over = true;
  await working;

  const stopped = once(server!, "exit");
  server!.kill("SIGTERM");
  await stopped;
  assert.match(await command("log", "verify"), /verifies/);
  const entries = (await command("log", "show", "--json", "--limit", "1000000"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Entry);
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
  const created = entries.filter(({ event }) => event === "request.created").length;
  assert.equal(created, told.size, "nothing was asked twice");
  const spent = [...told.values()].filter(({ completed }) => completed).length;
  const revoked = [...told.values()].filter((one) => one.revoked).length;
  const lost = [...told.values()].filter((one) => one.lost).length;
  context.diagnostic(
    `${told.size} requests, ${spent} spent, ${revoked} revoked, ${lost} tokens lost on the way and none doubled, ${entries.length} entries`,
  );
  assert.ok(told.size > kills && spent > 0, "the server did work between the kills");
});
