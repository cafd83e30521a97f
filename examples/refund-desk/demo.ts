/**
 * Interactive demo of the refund desk: starts everything on this machine, lets the agent ask, and shows what happens while you
 * decide in your browser. With `--auto` a headless browser decides, all results are checked, and the exit status reports success.
 */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { shortDigest } from "@countersign/protocol";
import type { Agent, Held } from "../harness/agent.ts";
import type { Heard } from "../harness/agent-probe.ts";
import { type Approver, type CardSeen, launchBrowser, meetApprover } from "../harness/approver.ts";
import { openHarness, type StoryHarness } from "../harness/story-harness.ts";
import {
  bad,
  bold,
  dim,
  good,
  heading,
  line,
  link,
  meanwhile,
  rule,
  say,
  tried,
} from "../harness/terminal.ts";
import { listenTo, shorter, told, why } from "./demo-output.ts";

type Ticket = (typeof tickets)[number];
/** `stopped`: the agent is paused and its request was refused. */
type Ending = "approved" | "denied" | "expired" | "stopped";

const auto = process.argv.includes("--auto");
/** Time to decide; enough to create a passkey first. */
const patientMinutes = 5;
const wantedPort = 4400;
const tickets = [
  {
    order: "R-2041-887",
    customer: "Marta Jiménez",
    amount: "10000.00",
    summary: "The espresso machines arrived with water damage. The photos match.",
  },
  {
    order: "R-2041-902",
    customer: "Jonas Weber",
    amount: "1250.00",
    summary: "Charged twice for the same order. Both payments are in the ledger.",
  },
  {
    order: "R-2041-915",
    customer: "Aiko Tanaka",
    amount: "389.90",
    summary: "The parcel is lost. The carrier confirms it.",
  },
];

const closing: (() => Promise<unknown>)[] = [];
let ending = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => void end(auto ? 1 : 0));

try {
  await play();
} catch (error) {
  if (!ending) {
    line();
    line(bad("Unexpected error:"));
    console.error(error);
    await end(1);
  }
}

async function play(): Promise<void> {
  line();
  line(bold("Countersign: the refund desk"));
  line();
  say(
    "An AI agent handles the tickets of a refund desk. It wants to refund $10,000 and needs an approval. You decide: the refund is paid once, or not at all.",
  );
  line();
  meanwhile("starting the server, the API and the agent …");
  const stage = await openHarness({
    folder: new URL("./", import.meta.url),
    agent: { id: "refund-desk", name: "Refund desk", type: "refund" },
    api: { id: "refunds-api", of: "refunds" },
    approvers: [{ email: "ada@example.com", name: "Ada Lovelace" }],
    port: wantedPort,
  });
  closing.push(stage.close);
  const elsewhere = stage.issuer.endsWith(`:${wantedPort}`) ? "" : dim(`  (port ${wantedPort} is taken)`);
  line(`${good("✓")} Countersign runs at ${stage.issuer}${elsewhere}`);
  line(`${good("✓")} the refund API runs at ${stage.api}, and pays only approved refunds`);

  const person = auto ? await meetSomebody() : undefined;
  for (let turn = 0, attempt = 1; ; attempt += 1) {
    const ticket = ticketOf(turn);
    const ended = await ask(stage, ticket, attempt, person);
    if (auto) assert.equal(ended, turn === 0 ? "approved" : "denied");
    // An expired request can be sent again; a decided one is final.
    if (ended === "approved" || ended === "denied") turn += 1;
    if (auto && turn === 2) break;
    if (!auto) await nextTurn(ended);
  }
  line();
  line(good("Everything held."));
  await end(0);
}

/** One request, from the ticket to the audit log. */
async function ask(stage: StoryHarness, ticket: Ticket, attempt: number, person?: Approver): Promise<Ending> {
  if (attempt > 1) rule();
  heading(1, "The agent asks");
  meanwhile("the agent reads the ticket …");
  const task = { ...ticket, id: `ticket-${5511 + attempt}`, answerWithinSeconds: patientMinutes * 60 };
  const hearing = listenTo(patientMinutes);
  const agent = stage.agent(task, { held: true, listen: hearing.hear });
  const asked = await agent.hears(({ url }) => url.endsWith("/bc-authorize"));
  if (asked.status !== 200) return await resume(stage, asked);
  const [request = ""] = (await stage.countersign("requests", "--json", "--limit", "1")).split("\n");
  const { id, action, code } = JSON.parse(request);
  line(action);
  say(`“${ticket.summary}”`, dim);
  line(`Check code ${bold(code)}${dim("   the same on your screen and in the token")}`);

  heading(2, person ? "A headless browser decides" : "You decide");
  if (!person) await invite(stage);
  hearing.start();
  if (person) {
    const seen = await decide(person, stage, ticket, attempt);
    assert.deepEqual([seen.sentence, seen.checkCode], [action, code]);
  }
  const held = await agent.comes();

  heading(3, "What the agent received");
  for (const heard of told(agent.heard)) tried(heard.what, heard.status, heard.words);
  const ended: Ending = held ? "approved" : (await agent.outcome()).outcome;
  if (held) await useToken(stage, agent, held, ticket, code);
  else if (ended === "denied") await insist(stage, ticket, attempt);
  else if (ended === "expired") say("No decision was made, so nothing happened.");
  else throw new Error(`the agent received: ${ended}`);

  heading(ended === "expired" ? 4 : 5, "The audit log");
  const entries = await showLog(stage, id);
  const acted = entries.filter((entry) => entry.includes("token.completed"));
  assert.equal(acted.length, ended === "approved" ? 1 : 0);
  return ended;
}

/** The agent was paused on the card. The operator resumes it. */
async function resume(stage: StoryHarness, { status, body }: Heard): Promise<Ending> {
  tried("POST /bc-authorize", status, why(body));
  line("The request was refused because the agent is paused. The operator resumes it:");
  line(dim("$ countersign agent resume refund-desk"));
  line(await stage.countersign("agent", "resume", "refund-desk"));
  return "stopped";
}

/** Prints the link for the user's browser: the invitation, which works once, then the inbox. */
async function invite(stage: StoryHarness): Promise<void> {
  const [invitation = ""] = stage.links;
  const enrolled = (await fetch(invitation)).status !== 200;
  say(
    enrolled
      ? "It is in your inbox:"
      : "Open this link in a browser on this computer. You create a passkey, then you see the request:",
  );
  line();
  line(`  ${link(enrolled ? `${stage.issuer}/inbox` : invitation)}`);
  line();
  if (enrolled) return;
  say(
    `You have ${patientMinutes} minutes. Without a fingerprint reader, browsers offer a phone or a PIN.`,
    dim,
  );
  const { port } = new URL(stage.issuer);
  if (process.env.SSH_CONNECTION)
    say(`On a remote machine, first run on yours: ssh -L ${port}:localhost:${port} <this machine>`, dim);
}

/** Tries the token: another amount is refused, the approved refund is paid once. */
async function useToken(
  stage: StoryHarness,
  agent: Agent,
  held: Held,
  ticket: Ticket,
  code: string,
): Promise<void> {
  const claims = JSON.parse(Buffer.from(held.authorization.split(".")[1] ?? "", "base64url").toString());
  assert.equal(shortDigest(claims.act_digest), code);
  line(`The check code in the token: ${bold(code)}`);

  heading(4, "What the token allows");
  const cent = `${ticket.amount.slice(0, -1)}1`;
  const more = await held.repeat({ amount: cent });
  tried(`${cent} instead`, more.status, why(more.body));
  assert.equal(more.status, 403);
  held.goOn();
  const { result } = await agent.outcome();
  tried("exactly the refund", 201, `paid, receipt ${result.receipt}`);
  const again = await held.repeat();
  tried("the same, once more", again.status, why(again.body));
  assert.equal(again.status, 401);
  const paid = (await stage.done("/refunds")).filter(({ order }) => order === ticket.order);
  assert.deepEqual(paid, [result]);
  line(`Refunds paid for this order: ${bold(String(paid.length))}`);
}

/** Sends the same request a cent cheaper: it is refused without notifying an approver. */
async function insist(stage: StoryHarness, ticket: Ticket, attempt: number): Promise<void> {
  heading(4, "A denial is final");
  const cheaper = { ...ticket, amount: (Number(ticket.amount) - 0.01).toFixed(2) };
  const agent = stage.agent({ ...cheaper, id: `ticket-${5511 + attempt}-again` });
  const { outcome, error, description } = await agent.outcome();
  tried(`asked for ${cheaper.amount}`, agent.heard.at(-1)?.status ?? 0, `${error}: ${description}`);
  assert.deepEqual([outcome, error], ["refused", "access_denied"]);
  const paid = (await stage.done("/refunds")).filter(({ order }) => order === ticket.order);
  assert.deepEqual(paid, []);
  line(`Refunds paid for this order: ${bold("0")}. No approver was notified again.`);
}

/** Prints the log entries of one request, and verifies the log. Throws if it does not verify. */
async function showLog(stage: StoryHarness, request: string): Promise<readonly string[]> {
  meanwhile("reading the log …");
  line(dim(`$ countersign log show --request ${request}`));
  const entries = (await stage.countersign("log", "show", "--request", request)).split("\n");
  for (const entry of entries) line(shorter(entry));
  const last = Math.max(...entries.map((entry) => Number.parseInt(entry, 10) || 0));
  // A copy of the newest checkpoint is kept elsewhere. Changes to the entries that it covers are detected.
  await writeFile(join(stage.folder, "kept.txt"), await checkpointOver(stage, last));
  line(dim("$ countersign log verify --checkpoint kept.txt"));
  const verified = await stage.countersign("log", "verify", "--checkpoint", "kept.txt");
  for (const said of verified.split("\n")) (said.startsWith(" ") ? line : say)(said);
  return entries;
}

/** Waits for a signed checkpoint that covers this entry. */
async function checkpointOver(stage: StoryHarness, index: number): Promise<string> {
  for (;;) {
    const note = await (await fetch(`${stage.issuer}/log/checkpoint`)).text();
    if (Number(note.split("\n")[1]) > index) return note;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function meetSomebody(): Promise<Approver> {
  const browser = await launchBrowser();
  closing.unshift(() => browser.close());
  return await meetApprover(browser);
}

/** The headless browser approves the first request and denies the second. */
async function decide(
  person: Approver,
  stage: StoryHarness,
  ticket: Ticket,
  attempt: number,
): Promise<CardSeen> {
  if (attempt === 1) {
    await person.enrol(stage.links[0] ?? "");
    line("It creates a passkey and opens the request in the inbox:");
  }
  const card = await person.openCard(ticket.order);
  line(card.sentence);
  line(`Check code ${bold(card.checkCode)}`);
  if (attempt === 1) await person.approve();
  else await person.deny("The second payment was returned yesterday.");
  line(attempt === 1 ? good("approved, signed with the passkey") : bad("denied, with a reason"));
  return card;
}

function ticketOf(turn: number): Ticket {
  const ticket = tickets[turn % tickets.length]!;
  const year = 2041 + Math.floor(turn / tickets.length);
  return { ...ticket, order: ticket.order.replace("2041", String(year)) };
}

/** Waits for Enter. Without a terminal, everything keeps running. */
async function nextTurn(ended: Ending): Promise<void> {
  line();
  if (!process.stdin.isTTY) {
    line("Everything runs until SIGTERM or SIGINT.");
    return await new Promise(() => {});
  }
  const settled = ended === "approved" || ended === "denied";
  const what = settled ? "the agent brings its next ticket" : "the agent asks once more";
  line(`${bold("Enter")}: ${what}.   ${bold("Ctrl-C")}: everything ends.`);
  const keys = createInterface({ input: process.stdin });
  await new Promise((resolve) => keys.once("line", resolve));
  keys.close();
}

async function end(code: number): Promise<void> {
  if (ending) process.exit(1);
  ending = true;
  if (code === 0 && !auto) line("Stopping the server, the API and the agent.");
  await Promise.allSettled(closing.map((close) => close()));
  process.exit(code);
}
