/**
 * The refund desk, to be tried: starts everything on this machine, lets the agent ask, and tells what happens while you
 * decide in your own browser. With `--auto` a headless browser decides in your place, everything is checked, and the
 * exit code says whether it held.
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
/** `stopped`: the agent is paused, and nobody was asked. */
type Ending = "approved" | "denied" | "expired" | "stopped";

const auto = process.argv.includes("--auto");
/** How long you have: time for a passkey, and for a look around. */
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
    line(bad("That should not have happened:"));
    console.error(error);
    await end(1);
  }
}

async function play(): Promise<void> {
  line();
  line(bold("Countersign: the refund desk"));
  line();
  say(
    "An AI agent works through the tickets of a refund desk. It would like to refund $10,000, and it may not do that by itself. So it asks. You decide, and what you say happens once, or not at all.",
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
  line(`${good("✓")} the refund API runs at ${stage.api}, and pays nothing that you did not approve`);

  const person = auto ? await meetSomebody() : undefined;
  for (let turn = 0, attempt = 1; ; attempt += 1) {
    const ticket = ticketOf(turn);
    const ended = await ask(stage, ticket, attempt, person);
    if (auto) assert.equal(ended, turn === 0 ? "approved" : "denied");
    // What nobody answered may be asked again; what was answered is settled.
    if (ended === "approved" || ended === "denied") turn += 1;
    if (auto && turn === 2) break;
    if (!auto) await nextTurn(ended);
  }
  line();
  line(good("Everything held."));
  await end(0);
}

/** One ask, from the ticket to the log. */
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

  heading(2, person ? "A browser in your place decides" : "You decide");
  if (!person) await invite(stage);
  hearing.start();
  if (person) {
    const seen = await decide(person, stage, ticket, attempt);
    assert.deepEqual([seen.sentence, seen.checkCode], [action, code]);
  }
  const held = await agent.comes();

  heading(3, "What the agent heard");
  for (const heard of told(agent.heard)) tried(heard.what, heard.status, heard.words);
  const ended: Ending = held ? "approved" : (await agent.outcome()).outcome;
  if (held) await useToken(stage, agent, held, ticket, code);
  else if (ended === "denied") await insist(stage, ticket, attempt);
  else if (ended === "expired") say("Nobody answered, so nothing happened. Silence is never a yes.");
  else throw new Error(`the agent was told: ${ended}`);

  heading(ended === "expired" ? 4 : 5, "What the log says");
  const entries = await showLog(stage, id);
  const acted = entries.filter((entry) => entry.includes("token.completed"));
  assert.equal(acted.length, ended === "approved" ? 1 : 0);
  return ended;
}

/** Somebody pressed "pause this agent". The operator lets it go on. */
async function resume(stage: StoryHarness, { status, body }: Heard): Promise<Ending> {
  tried("POST /bc-authorize", status, why(body));
  line("Nobody was asked. The operator lets the agent go on:");
  line(dim("$ countersign agent resume refund-desk"));
  line(await stage.countersign("agent", "resume", "refund-desk"));
  return "stopped";
}

/** Where to go with one's own browser. The invitation is good once; afterwards there is the inbox. */
async function invite(stage: StoryHarness): Promise<void> {
  const [invitation = ""] = stage.links;
  const enrolled = (await fetch(invitation)).status !== 200;
  say(
    enrolled
      ? "It waits in your inbox:"
      : "Open this in a browser on this computer. You make a passkey, then you see what waits for you:",
  );
  line();
  line(`  ${link(enrolled ? `${stage.issuer}/inbox` : invitation)}`);
  line();
  if (enrolled) return;
  say(
    `You have ${patientMinutes} minutes. Where there is no fingerprint reader, browsers offer a phone or a PIN.`,
    dim,
  );
  const { port } = new URL(stage.issuer);
  if (process.env.SSH_CONNECTION)
    say(`This machine is far away? First, on yours: ssh -L ${port}:localhost:${port} <this machine>`, dim);
}

/** What is done with the token: less than whoever holds it may like. */
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

  heading(4, "What the token is good for");
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

/** The same ask again, a cent cheaper: the answer is known, and nobody is disturbed. */
async function insist(stage: StoryHarness, ticket: Ticket, attempt: number): Promise<void> {
  heading(4, "A no is a no");
  const cheaper = { ...ticket, amount: (Number(ticket.amount) - 0.01).toFixed(2) };
  const agent = stage.agent({ ...cheaper, id: `ticket-${5511 + attempt}-again` });
  const { outcome, error, description } = await agent.outcome();
  tried(`asked for ${cheaper.amount}`, agent.heard.at(-1)?.status ?? 0, `${error}: ${description}`);
  assert.deepEqual([outcome, error], ["refused", "access_denied"]);
  const paid = (await stage.done("/refunds")).filter(({ order }) => order === ticket.order);
  assert.deepEqual(paid, []);
  line(`Refunds paid for this order: ${bold("0")}. Nobody was asked again.`);
}

/** The entries of one request, as the log has them; and that the log holds, which is an error if it does not. */
async function showLog(stage: StoryHarness, request: string): Promise<readonly string[]> {
  meanwhile("reading the log …");
  line(dim(`$ countersign log show --request ${request}`));
  const entries = (await stage.countersign("log", "show", "--request", request)).split("\n");
  for (const entry of entries) line(shorter(entry));
  const last = Math.max(...entries.map((entry) => Number.parseInt(entry, 10) || 0));
  // Somebody else keeps a copy of the newest checkpoint. Nothing that it covers can be changed unnoticed.
  await writeFile(join(stage.folder, "kept.txt"), await checkpointOver(stage, last));
  line(dim("$ countersign log verify --checkpoint kept.txt"));
  const verified = await stage.countersign("log", "verify", "--checkpoint", "kept.txt");
  for (const said of verified.split("\n")) (said.startsWith(" ") ? line : say)(said);
  return entries;
}

/** The newest signed checkpoint, as soon as it covers this entry. */
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

/** The browser in your place: approves the first, denies the second. */
async function decide(
  person: Approver,
  stage: StoryHarness,
  ticket: Ticket,
  attempt: number,
): Promise<CardSeen> {
  if (attempt === 1) {
    await person.enrol(stage.links[0] ?? "");
    line("It makes a passkey, and finds this in the inbox:");
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

/** Waits for Enter. Where there is no keyboard, nothing more is asked, and everything stays up. */
async function nextTurn(ended: Ending): Promise<void> {
  line();
  if (!process.stdin.isTTY) {
    line("Everything stays up until SIGTERM or SIGINT.");
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
  if (code === 0 && !auto) line("Ending the server, the API and the agent.");
  await Promise.allSettled(closing.map((close) => close()));
  process.exit(code);
}
