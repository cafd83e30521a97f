import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import { shortDigest } from "@countersign/protocol";
import { findForm, readHiddenFields, refund, toRequestId } from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { type ParsedMail, simpleParser } from "mailparser";
import { SMTPServer } from "smtp-server";
import { pauseAgent } from "../../src/usecase/client/client-lifecycle.ts";

const inbox: ParsedMail[] = [];
/** How many of the next deliveries the mail server refuses. */
let refusing = 0;
/** A recipient that the mail server rejects for good. */
let unknownMailbox: string | undefined;
const smtp = new SMTPServer({
  authOptional: true,
  disabledCommands: ["STARTTLS", "AUTH"],
  onRcptTo({ address }, _session, done) {
    if (address !== unknownMailbox) return done();
    done(Object.assign(new Error("no such user"), { responseCode: 550 }));
  },
  onData(stream, _session, done) {
    simpleParser(stream).then((mail) => {
      if (refusing > 0) {
        refusing -= 1;
        return done(Object.assign(new Error("try again later"), { responseCode: 451 }));
      }
      inbox.push(mail);
      done();
    }, done);
  },
});

const deployment = useDeployment(async () => {
  smtp.listen(0, "127.0.0.1");
  await once(smtp.server, "listening");
  const { port } = smtp.server.address() as AddressInfo;
  const from = "Countersign <countersign@example.com>";
  return { config: { channels: { mail: { smtp: `smtp://127.0.0.1:${port}`, from } } } };
});
after(async () => {
  await new Promise<void>((resolve) => smtp.close(() => resolve()));
});

let orders = 0;
async function ask(changed: Record<string, string> = {}, message?: string): Promise<string> {
  orders += 1;
  const action = { ...refund, order: `M-${orders}`, ...changed };
  const answer = await deployment.ask({
    authorization_details: JSON.stringify([action]),
    binding_message: message,
  });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return toRequestId(answer.body.auth_req_id);
}

async function delivered(): Promise<ParsedMail> {
  inbox.length = 0;
  await deployment.server.runJobs();
  assert.equal(inbox.length, 1);
  return inbox[0]!;
}

describe("mail channel", () => {
  test("sends the contents of the card as text and HTML, with the same check code", async () => {
    const id = await ask({ reason: "Broken on arrival" }, "Ticket 5512");
    const mail = await delivered();
    const code = shortDigest((await deployment.server.store.read("request", id))?.record.digest ?? "");
    assert.equal(mail.to && !Array.isArray(mail.to) && mail.to.text, '"ada" <ada@example.com>');
    assert.match(mail.subject ?? "", /Refund \$10,000\.00 for order “M-1”/);
    assert.ok(mail.subject?.includes(code));
    for (const body of [mail.text ?? "", String(mail.html)]) {
      for (const words of [
        "$10,000.00",
        "M-1",
        "Refund desk",
        "Broken on arrival",
        "Ticket 5512",
        "not checked",
        code,
        `/requests/${id}?via=mail`,
      ])
        assert.ok(body.includes(words), words);
      assert.match(body, /cannot be undone/);
    }
  });

  test("changes nothing on GET and HEAD of every link, with and without a session (T4)", async () => {
    const id = await ask();
    const mail = await delivered();
    const links = [...`${mail.text}${mail.html}`.matchAll(/https?:\/\/[^\s"<>]+/g)].map(
      ([link]) => new URL(link),
    );
    assert.ok(links.length >= 2);
    const before = await deployment.server.store.log.newest(1_000);
    for (const { pathname, search } of links)
      for (const method of ["GET", "HEAD"])
        for (const headers of [undefined, { cookie: deployment.ada.cookie }]) {
          const answer = await deployment.request(pathname + search, { method, headers });
          assert.ok(answer.status < 400);
        }
    assert.equal((await deployment.server.store.read("request", id))?.record.status.state, "pending");
    assert.equal(
      (await deployment.server.store.log.newest(1_000)).length,
      before.length,
      "and leaves no trace in the log",
    );
    assert.ok(!/verdict|approve=|decision/.test(links.join(" ")), "no link carries a decision");
  });

  test("removes markup, header injections and hidden characters from an agent's values (T15)", async () => {
    await ask({ order: '<b>"x"</b>' }, '<img src=x onerror=alert(1)> "quoted" & more');
    const mail = await delivered();
    const html = String(mail.html);
    assert.ok(!html.includes("<img"));
    assert.ok(!html.includes('<b>"x"'));
    assert.ok(html.includes("&lt;img"));
    for (const binding_message of ["a\r\nBcc: eve@example.com", "a\u0000b", "a​b"]) {
      const answer = await deployment.ask({ binding_message });
      assert.equal(answer.status, 400);
    }
  });

  test("isolates a right-to-left value from the text around it (T15)", async () => {
    const [order, reason, message] = ["\u05d0\u05d1 12", "\u05d2 7", "\u05d3 3"];
    await ask({ order, reason }, message);
    const html = String((await delivered()).html).replace(/<title>[^<]*/, "");
    for (const value of [order, reason, message]) {
      const times = html.split(value).length - 1;
      const alone = html.match(new RegExp(`<bdi>“?${value}”?</bdi>`, "g"))?.length ?? 0;
      assert.ok(times > 0 && alone === times, `${value} has a direction of its own each time`);
    }
  });

  test("retries with backoff after a temporary failure, and delivers", async () => {
    refusing = 2;
    inbox.length = 0;
    await ask();
    await deployment.server.runJobs();
    assert.equal(inbox.length, 0);
    deployment.clock.now += 2_000;
    await deployment.server.runJobs();
    assert.equal(inbox.length, 0);
    deployment.clock.now += 9_999;
    await deployment.server.runJobs();
    assert.equal(inbox.length, 0, "not before its time");
    deployment.clock.now += 1;
    await deployment.server.runJobs();
    assert.equal(inbox.length, 1);
  });

  test("abandons a mail that fails at every attempt and logs it; the request stays valid", async () => {
    refusing = 1_000;
    const answer = await deployment.ask({
      requested_expiry: "600",
      authorization_details: JSON.stringify([{ ...refund, order: "G-1" }]),
    });
    const id = toRequestId(answer.body.auth_req_id);
    for (const delay of [0, 2_000, 10_000, 30_000, 60_000, 300_000]) {
      deployment.clock.now += delay;
      await deployment.server.runJobs();
    }
    refusing = 0;
    const [given] = await deployment.server.store.listAbandonedMessages(1);
    assert.equal(given?.requestId, id);
    assert.equal(given?.attempts, 6);
    assert.match(given?.lastError ?? "", /try again later/);
    const [entry] = await deployment.server.store.log.newest(1, id);
    assert.equal(JSON.parse(entry?.line ?? "{}").event, "message.abandoned");
    assert.equal((await deployment.ada.decide(id, "deny")).status, 303);
  });

  test("does not retry a recipient that the mail server rejects permanently", async () => {
    unknownMailbox = "ada@example.com";
    const id = await ask();
    await deployment.server.runJobs();
    unknownMailbox = undefined;
    const abandoned = (await deployment.server.store.listAbandonedMessages(50)).find(
      ({ requestId }) => requestId === id,
    );
    assert.equal(abandoned?.attempts, 1);
    assert.match(abandoned?.lastError ?? "", /550 no such user/);
    await deployment.ada.decide(id, "deny");
  });

  test("does not send the pending mails of a paused agent (T29)", async () => {
    await ask();
    assert.equal(await pauseAgent(deployment.server.store, deployment.agent.id, true), "done");
    inbox.length = 0;
    await deployment.server.runJobs();
    assert.equal(inbox.length, 0);
    assert.equal(await pauseAgent(deployment.server.store, deployment.agent.id, false), "done");
  });

  test("logs the mail server's reply if a mail failed until its request ended", async () => {
    refusing = 1;
    const id = await ask();
    await deployment.server.runJobs();
    await deployment.ada.decide(id, "deny");
    deployment.clock.now += 2_000;
    await deployment.server.runJobs();
    const given = (await deployment.server.store.listAbandonedMessages(50)).find(
      ({ requestId: approval }) => approval === id,
    );
    assert.match(
      given?.lastError ?? "",
      /the request ended before the message could be sent; last delivery error: .*451 try again later/,
    );
  });

  test("sends no mail for a request that ended before", async () => {
    const id = await ask();
    await deployment.ada.decide(id, "deny");
    inbox.length = 0;
    await deployment.server.runJobs();
    assert.equal(inbox.length, 0);
  });

  test("records the channel of a decision made from a mail in the log", async () => {
    const id = await ask();
    const { via } = readHiddenFields(
      findForm(await (await deployment.ada.get(`/requests/${id}?via=mail`)).text(), "deny"),
    );
    assert.equal(via, "mail");
    assert.equal((await deployment.ada.decide(id, "deny", { via })).status, 303);
    const [entry] = await deployment.server.store.log.newest(1, id);
    assert.equal(JSON.parse(entry?.line ?? "{}").facts.channel, "mail");
    await deployment.server.runJobs();
  });
});
