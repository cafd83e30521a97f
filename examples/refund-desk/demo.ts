/**
 * Interactive demo of the refund desk: starts everything on this machine, lets the agent ask, and shows what happens while you
 * decide in your browser. With `--auto` a headless browser decides, all results are checked, and the exit status reports success.
 */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { shortDigest } from "@countersign/protocol";
import type { Agent, HeldCall } from "../harness/agent.ts";
import type { ReceivedResponse } from "../harness/agent-probe.ts";
import { type Approver, type CardContent, launchBrowser, openApprover } from "../harness/approver.ts";
import { openHarness, type StoryHarness } from "../harness/story-harness.ts";
import {
  bad,
  bold,
  dim,
  good,
  link,
  printAttempt,
  printHeading,
  printLine,
  printSeparator,
  printWrapped,
  showProgress,
} from "../harness/terminal.ts";
import { createPollProgress, describeResponses, parseErrorDescription, shortenEntry } from "./demo-output.ts";

type Ticket = (typeof tickets)[number];
/** `stopped`: the agent is paused and its request was refused. */
type Outcome = "approved" | "denied" | "expired" | "stopped";

const auto = process.argv.includes("--auto");
/** Time to decide; enough to create a passkey first. */
const decisionMinutes = 5;
const preferredPort = 4400;
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

const cleanups: (() => Promise<unknown>)[] = [];
let isEnding = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => void end(auto ? 1 : 0));

try {
  await runDemo();
} catch (error) {
  if (!isEnding) {
    printLine();
    printLine(bad("Unexpected error:"));
    console.error(error);
    await end(1);
  }
}

async function runDemo(): Promise<void> {
  printLine();
  printLine(bold("Countersign: the refund desk"));
  printLine();
  printWrapped(
    "An AI agent handles the tickets of a refund desk. It wants to refund $10,000 and needs an approval. You decide: the refund is paid once, or not at all.",
  );
  printLine();
  showProgress("starting the server, the API and the agent …");
  const harness = await openHarness({
    folder: new URL("./", import.meta.url),
    agent: { id: "refund-desk", name: "Refund desk", type: "refund" },
    api: { id: "refunds-api", of: "refunds" },
    approvers: [{ email: "ada@example.com", name: "Ada Lovelace" }],
    port: preferredPort,
  });
  cleanups.push(harness.close);
  const portNote = harness.issuer.endsWith(`:${preferredPort}`)
    ? ""
    : dim(`  (port ${preferredPort} is taken)`);
  printLine(`${good("✓")} Countersign runs at ${harness.issuer}${portNote}`);
  printLine(`${good("✓")} the refund API runs at ${harness.api}, and pays only approved refunds`);

  const approver = auto ? await openAutomatedApprover() : undefined;
  for (let turn = 0, attempt = 1; ; attempt += 1) {
    const ticket = createTicket(turn);
    const outcome = await runRequest(harness, ticket, attempt, approver);
    if (auto) assert.equal(outcome, turn === 0 ? "approved" : "denied");
    // An expired request can be sent again; a decided one is final.
    if (outcome === "approved" || outcome === "denied") turn += 1;
    if (auto && turn === 2) break;
    if (!auto) await waitForNextTurn(outcome);
  }
  printLine();
  printLine(good("Everything held."));
  await end(0);
}

/** One request, from the ticket to the audit log. */
async function runRequest(
  harness: StoryHarness,
  ticket: Ticket,
  attempt: number,
  approver?: Approver,
): Promise<Outcome> {
  if (attempt > 1) printSeparator();
  printHeading(1, "The agent asks");
  showProgress("the agent reads the ticket …");
  const task = { ...ticket, id: `ticket-${5511 + attempt}`, answerWithinSeconds: decisionMinutes * 60 };
  const progress = createPollProgress(decisionMinutes);
  const agent = harness.agent(task, { holdCalls: true, onResponse: progress.onResponse });
  const response = await agent.waitForResponse(({ url }) => url.endsWith("/bc-authorize"));
  if (response.status !== 200) return await resume(harness, response);
  const [request = ""] = (await harness.countersign("requests", "--json", "--limit", "1")).split("\n");
  const { id, action, code } = JSON.parse(request);
  printLine(action);
  printWrapped(`“${ticket.summary}”`, dim);
  printLine(`Check code ${bold(code)}${dim("   the same on your screen and in the token")}`);

  printHeading(2, approver ? "A headless browser decides" : "You decide");
  if (!approver) await invite(harness);
  progress.start();
  if (approver) {
    const card = await decide(approver, harness, ticket, attempt);
    assert.deepEqual([card.sentence, card.checkCode], [action, code]);
  }
  const held = await agent.waitForCallOrEnd();

  printHeading(3, "What the agent received");
  for (const attempted of describeResponses(agent.responses))
    printAttempt(attempted.what, attempted.status, attempted.words);
  const outcome: Outcome = held ? "approved" : (await agent.outcome()).outcome;
  if (held) await useToken(harness, agent, held, ticket, code);
  else if (outcome === "denied") await repeatDenied(harness, ticket, attempt);
  else if (outcome === "expired") printWrapped("No decision was made, so nothing happened.");
  else throw new Error(`the agent received: ${outcome}`);

  printHeading(outcome === "expired" ? 4 : 5, "The audit log");
  const entries = await showLog(harness, id);
  const completions = entries.filter((entry) => entry.includes("token.completed"));
  assert.equal(completions.length, outcome === "approved" ? 1 : 0);
  return outcome;
}

/** The agent was paused on the card. The operator resumes it. */
async function resume(harness: StoryHarness, { status, body }: ReceivedResponse): Promise<Outcome> {
  printAttempt("POST /bc-authorize", status, parseErrorDescription(body));
  printLine("The request was refused because the agent is paused. The operator resumes it:");
  printLine(dim("$ countersign agent resume refund-desk"));
  printLine(await harness.countersign("agent", "resume", "refund-desk"));
  return "stopped";
}

/** Prints the link for the user's browser: the invitation, which works once, then the inbox. */
async function invite(harness: StoryHarness): Promise<void> {
  const [invitation = ""] = harness.enrolmentLinks;
  const enrolled = (await fetch(invitation)).status !== 200;
  printWrapped(
    enrolled
      ? "It is in your inbox:"
      : "Open this link in a browser on this computer. You create a passkey, then you see the request:",
  );
  printLine();
  printLine(`  ${link(enrolled ? `${harness.issuer}/inbox` : invitation)}`);
  printLine();
  if (enrolled) return;
  printWrapped(
    `You have ${decisionMinutes} minutes. Without a fingerprint reader, browsers offer a phone or a PIN.`,
    dim,
  );
  const { port } = new URL(harness.issuer);
  if (process.env.SSH_CONNECTION)
    printWrapped(
      `On a remote machine, first run on yours: ssh -L ${port}:localhost:${port} <this machine>`,
      dim,
    );
}

/** Tries the token: another amount is refused, the approved refund is paid once. */
async function useToken(
  harness: StoryHarness,
  agent: Agent,
  held: HeldCall,
  ticket: Ticket,
  code: string,
): Promise<void> {
  const claims = JSON.parse(Buffer.from(held.authorization.split(".")[1] ?? "", "base64url").toString());
  assert.equal(shortDigest(claims.act_digest), code);
  printLine(`The check code in the token: ${bold(code)}`);

  printHeading(4, "What the token allows");
  const cent = `${ticket.amount.slice(0, -1)}1`;
  const more = await held.repeat({ amount: cent });
  printAttempt(`${cent} instead`, more.status, parseErrorDescription(more.body));
  assert.equal(more.status, 403);
  held.release();
  const { result } = await agent.outcome();
  printAttempt("exactly the refund", 201, `paid, receipt ${result.receipt}`);
  const again = await held.repeat();
  printAttempt("the same, once more", again.status, parseErrorDescription(again.body));
  assert.equal(again.status, 401);
  const paid = (await harness.listActions("/refunds")).filter(({ order }) => order === ticket.order);
  assert.deepEqual(paid, [result]);
  printLine(`Refunds paid for this order: ${bold(String(paid.length))}`);
}

/** Sends the same request a cent cheaper: it is refused without notifying an approver. */
async function repeatDenied(harness: StoryHarness, ticket: Ticket, attempt: number): Promise<void> {
  printHeading(4, "A denial is final");
  const cheaper = { ...ticket, amount: (Number(ticket.amount) - 0.01).toFixed(2) };
  const agent = harness.agent({ ...cheaper, id: `ticket-${5511 + attempt}-again` });
  const { outcome, error, description } = await agent.outcome();
  printAttempt(
    `asked for ${cheaper.amount}`,
    agent.responses.at(-1)?.status ?? 0,
    `${error}: ${description}`,
  );
  assert.deepEqual([outcome, error], ["refused", "access_denied"]);
  const paid = (await harness.listActions("/refunds")).filter(({ order }) => order === ticket.order);
  assert.deepEqual(paid, []);
  printLine(`Refunds paid for this order: ${bold("0")}. No approver was notified again.`);
}

/** Prints the log entries of one request, and verifies the log. Throws if it does not verify. */
async function showLog(harness: StoryHarness, request: string): Promise<readonly string[]> {
  showProgress("reading the log …");
  printLine(dim(`$ countersign log show --request ${request}`));
  const entries = (await harness.countersign("log", "show", "--request", request)).split("\n");
  for (const entry of entries) printLine(shortenEntry(entry));
  const last = Math.max(...entries.map((entry) => Number.parseInt(entry, 10) || 0));
  // A copy of the newest checkpoint is kept elsewhere. Changes to the entries that it covers are detected.
  await writeFile(join(harness.folder, "kept.txt"), await checkpointOver(harness, last));
  printLine(dim("$ countersign log verify --checkpoint kept.txt"));
  const verified = await harness.countersign("log", "verify", "--checkpoint", "kept.txt");
  for (const line of verified.split("\n")) (line.startsWith(" ") ? printLine : printWrapped)(line);
  return entries;
}

/** Waits for a signed checkpoint that covers this entry. */
async function checkpointOver(harness: StoryHarness, index: number): Promise<string> {
  for (;;) {
    const note = await (await fetch(`${harness.issuer}/log/checkpoint`)).text();
    if (Number(note.split("\n")[1]) > index) return note;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function openAutomatedApprover(): Promise<Approver> {
  const browser = await launchBrowser();
  cleanups.unshift(() => browser.close());
  return await openApprover(browser);
}

/** The headless browser approves the first request and denies the second. */
async function decide(
  approver: Approver,
  harness: StoryHarness,
  ticket: Ticket,
  attempt: number,
): Promise<CardContent> {
  if (attempt === 1) {
    await approver.enrol(harness.enrolmentLinks[0] ?? "");
    printLine("It creates a passkey and opens the request in the inbox:");
  }
  const card = await approver.openCard(ticket.order);
  printLine(card.sentence);
  printLine(`Check code ${bold(card.checkCode)}`);
  if (attempt === 1) await approver.approve();
  else await approver.deny("The second payment was returned yesterday.");
  printLine(attempt === 1 ? good("approved, signed with the passkey") : bad("denied, with a reason"));
  return card;
}

function createTicket(turn: number): Ticket {
  const ticket = tickets[turn % tickets.length]!;
  const year = 2041 + Math.floor(turn / tickets.length);
  return { ...ticket, order: ticket.order.replace("2041", String(year)) };
}

/** Waits for Enter. Without a terminal, everything keeps running. */
async function waitForNextTurn(outcome: Outcome): Promise<void> {
  printLine();
  if (!process.stdin.isTTY) {
    printLine("Everything runs until SIGTERM or SIGINT.");
    return await new Promise(() => {});
  }
  const isDecided = outcome === "approved" || outcome === "denied";
  const what = isDecided ? "the agent brings its next ticket" : "the agent asks once more";
  printLine(`${bold("Enter")}: ${what}.   ${bold("Ctrl-C")}: everything ends.`);
  const keys = createInterface({ input: process.stdin });
  await new Promise((resolve) => keys.once("line", resolve));
  keys.close();
}

async function end(code: number): Promise<void> {
  if (isEnding) process.exit(1);
  isEnding = true;
  if (code === 0 && !auto) printLine("Stopping the server, the API and the agent.");
  await Promise.allSettled(cleanups.map((close) => close()));
  process.exit(code);
}
