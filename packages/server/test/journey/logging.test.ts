/**
 * What the server says on standard error and standard output while people, agents, APIs and everybody's servers do what they
 * can to get something of theirs into it. Its own process, so that whatever prints is heard.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import {
  createFaultHarness,
  type FaultHarness,
  type ServerNode,
} from "@countersign/testing/process/fault-harness";
import { type DecisionPoint, startOpenFga } from "@countersign/testing/server/decision-point";
import { refund, toBasicAuth, toRequestId } from "@countersign/testing/server/deployment";
import { decodeJwt } from "jose";
import { SMTPServer } from "smtp-server";

/** Texts of people and of an agent, each with a word that occurs nowhere else. */
const markers = {
  order: "Order-Quinquireme-77",
  reason: "for Mrs Vavasour, who is ill",
  message: "Quick, says Vavasour of Nineveh",
  denial: "Not for Ophirian money",
  idempotency: "idempotency-cedarwood-1",
  spend: "spend-of-sandalwood-and-cedar-0001",
  query: "sweet-white-wine",
  agentHeader: "Stately-Galleon/1.0",
  decisionToken: "topazes-amethysts-and-gold-moidores",
  answered: "dirty British coaster",
} as const;
const words =
  /Quinquireme|Vavasour|Nineveh|Ophirian|cedarwood|sandalwood|sweet-white|Galleon|topazes|coaster|ada@|bob@|finance/;

const granted = new Set(["agent:agent-1 can_ask action:refund"]);
const folder = mkdtempSync(join(tmpdir(), "countersign-journal-"));
const smtp = new SMTPServer({
  authOptional: true,
  disabledCommands: ["STARTTLS", "AUTH"],
  // A mail server that repeats what it was told.
  onRcptTo: ({ address }, _session, done) => done(new Error(`no such person as ${address}`)),
});
let fga: DecisionPoint;
let harness: FaultHarness;
let node: ServerNode;
const secrets: string[] = [];
before(async () => {
  fga = await startOpenFga(granted);
  smtp.listen(0, "127.0.0.1");
  await once(smtp.server, "listening");
  const { port } = smtp.server.address() as AddressInfo;
  writeFileSync(join(folder, "fga.token"), markers.decisionToken);
  harness = await createFaultHarness(folder, {
    logging: { level: undefined, access_log: true },
    channels: { mail: { smtp: `smtp://127.0.0.1:${port}`, from: "countersign@example.com" } },
    permission: {
      openfga: {
        url: fga.url,
        store_id: "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        token_file: join(folder, "fga.token"),
        checks: [{ user: "agent:{agent}", relation: "can_ask", object: "action:{type}" }],
      },
    },
  });
  node = await harness.start();
  const { agent, api, cookie, key } = harness;
  secrets.push(agent.secret, api.secret, key, cookie.split("=")[1] ?? cookie);
});
after(async () => {
  await harness.close();
  await fga.close();
  await new Promise<void>((resolve) => smtp.close(() => resolve()));
});

async function post(path: string, form: Record<string, string>, headers: Record<string, string> = {}) {
  const answer = await fetch(node.url + path, { method: "POST", headers, body: new URLSearchParams(form) });
  return { status: answer.status, body: JSON.parse((await answer.text()) || "{}") };
}

function ask(changed: Record<string, string> = {}) {
  const action = { ...refund, order: markers.order, reason: markers.reason };
  const form = {
    scope: "openid",
    login_hint: "ada@example.com",
    binding_message: markers.message,
    authorization_details: JSON.stringify([action]),
    ...changed,
  };
  const headers = { "idempotency-key": markers.idempotency, "user-agent": markers.agentHeader };
  return post("/bc-authorize", form, { ...toBasicAuth(harness.agent), ...headers });
}

/** The lines on standard error, each of which must be JSON. */
const lines = (): any[] =>
  node
    .readStderr()
    .split("\n")
    .filter(
      (line) => line !== "" && !line.includes("ExperimentalWarning") && !line.includes("trace-warnings"),
    )
    .map((line) => JSON.parse(line));
const eventsSaid = () => lines().map(({ event }) => event);
async function until(holds: () => boolean): Promise<void> {
  for (let left = 400; !holds(); left -= 1) {
    assert.ok(left > 0, node.readStderr());
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

describe("log of the process", () => {
  test("has one line per event with its ids, and one per response if access_log is set", async () => {
    const asked = (await ask()).body.auth_req_id;
    secrets.push(asked.slice(asked.indexOf(".") + 1));
    const request = toRequestId(asked);
    assert.equal(await node.decide(request), 303);
    const { access_token, id_token } = (await node.poll(asked)).body;
    secrets.push(access_token, id_token, ...access_token.split("."), ...id_token.split("."));
    const { jti, act_digest } = decodeJwt(access_token);
    const spend = { token: access_token, spend_id: markers.spend, act_digest: String(act_digest) };
    const wrong = await post(
      "/spend",
      { operation: "reserve", ...spend, act_digest: "wrong" },
      toBasicAuth(harness.api),
    );
    assert.equal(wrong.status, 409);
    for (const operation of ["reserve", "complete"])
      assert.equal((await post("/spend", { operation, ...spend }, toBasicAuth(harness.api))).status, 200);
    await until(() => eventsSaid().includes("token.completed"));

    const said = lines();
    const of = (event: string) => said.find((line) => line.event === event);
    assert.ok(said.every(({ time }) => /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(time)));
    assert.equal(of("started").level, "info");
    const about = { request, agent: "agent-1" };
    const ids = ({ request, agent, token, type, level }: any) => ({ request, agent, token, type, level });
    assert.deepEqual(ids(of("request.created")), {
      ...about,
      token: undefined,
      type: "refund",
      level: "info",
    });
    assert.deepEqual(ids(of("token.issued")), { ...about, token: jti, type: undefined, level: "info" });
    assert.equal(of("spend.refused").level, "warn");
    assert.equal(of("spend.refused").error, "digest_mismatch");
    assert.equal(of("token.completed").api, "refunds-api");
    assert.equal(of("request.approved").auth_level, "session");
    assert.match(of("request.created").entry, /^log_/);
    const answers = said.filter(({ event }) => event === "request");
    assert.ok(answers.some(({ route, status, ms }) => route === "/bc-authorize" && status === 200 && ms > 0));
    assert.ok(answers.some(({ route }) => route === "/requests/:id/decision"));
  });

  test("has a line for a fatal error; the exit code is 70", async () => {
    // Whatever happens where nobody catches it, with what such an error may carry.
    const bug = `process.on("SIGUSR2", () => {
    const fault = new Error("ada@example.com could not be reached");
    throw Object.assign(fault, { query: "${markers.denial}", parameters: ["${markers.order}"] });
  });`;
    const preload = `--disable-warning=ExperimentalWarning --import=data:text/javascript,${encodeURIComponent(bug)}`;
    const doomed = await harness.start({ NODE_OPTIONS: preload });
    const gone = once(doomed.child, "close");
    doomed.child.kill("SIGUSR2");
    assert.deepEqual(await gone, [70, null], doomed.readStderr());
    const crashed = doomed
      .readStderr()
      .split("\n")
      .filter((line) => line.includes('"event":"crash"'));
    assert.equal(crashed.length, 1, doomed.readStderr());
    const { level, operation, fault } = JSON.parse(crashed[0] ?? "");
    assert.deepEqual(
      [level, operation, fault.message],
      ["fatal", "process", "[address] could not be reached"],
    );
    assert.equal(words.exec(doomed.readOutput())?.[0], undefined);
  });

  test("contains no secrets and no texts of agents, people or other servers", async () => {
    const second = (
      await ask({
        authorization_details: JSON.stringify([
          { ...refund, order: markers.order, reason: markers.reason, amount: "2.00" },
        ]),
      })
    ).body;
    assert.equal(second.error, "invalid_request", "the idempotency key was used for something else");
    const another = await node.ask(`${markers.order}-b`);
    secrets.push(another.body.auth_req_id.split(".")[1]);
    assert.equal(await node.decide(toRequestId(another.body.auth_req_id), "deny"), 303);

    // What is wrong in every place that takes a value.
    await ask({ login_hint: `ada@example.com ${markers.query}` });
    await ask({ binding_message: `${markers.message}\u202e` });
    await ask({ authorization_details: `[{"type":"refund","order":"${markers.order}", }]` });
    await post(`/oauth/token?secret=${markers.query}`, {
      grant_type: cibaGrantType,
      auth_req_id: markers.query,
    });
    await post("/oauth/token", { grant_type: cibaGrantType }, { authorization: `Bearer ${markers.query}` });
    await post(
      "/spend",
      { operation: "reserve", token: markers.query, spend_id: markers.spend },
      toBasicAuth(harness.api),
    );
    for (const path of [
      `/enrol/${markers.query}`,
      `/requests/${markers.query}?via=${markers.query}`,
      `/${markers.query}`,
    ])
      await (await fetch(node.url + path)).text();
    await (await fetch(`${node.url}/oauth/token`, { method: "POST", body: "a".repeat(70_000) })).text();

    // The decision point repeats what it was asked, says nonsense, and hangs up.
    fga.override = (response) => {
      response.writeHead(400, { "content-type": "application/json", "x-said": markers.answered });
      response.end(
        JSON.stringify({ code: "validation_error", message: `ada@example.com: ${markers.answered}` }),
      );
    };
    const keyless = (changed: Record<string, string>) =>
      post(
        "/bc-authorize",
        { scope: "openid", login_hint: "ada@example.com", ...changed },
        toBasicAuth(harness.agent),
      );
    const details = () =>
      JSON.stringify([{ ...refund, order: `${markers.order}-${crypto.randomUUID().slice(0, 8)}` }]);
    assert.equal((await keyless({ authorization_details: details() })).status, 503);
    fga.override = (response) => void response.writeHead(200).end(markers.answered);
    assert.equal((await keyless({ authorization_details: details() })).status, 503);
    fga.override = (response) => void response.destroy();
    assert.equal((await keyless({ authorization_details: details() })).status, 503);
    fga.override = undefined;

    // The database fails under it.
    const rows = new DatabaseSync(harness.file);
    rows.exec("PRAGMA busy_timeout = 5000; ALTER TABLE request RENAME TO elsewhere");
    rows.close();
    assert.equal((await keyless({ authorization_details: details() })).status, 503);
    assert.equal(
      (await fetch(`${node.url}/requests/${markers.query}`, { headers: { cookie: harness.cookie } })).status,
      503,
    );
    await until(() => eventsSaid().filter((event) => event === "fault").length >= 5);
    await node.stop().catch(() => {});

    const faults = lines().filter(({ event }) => event === "fault");
    assert.ok(
      faults.every(
        ({ level, operation, fault }) => level === "error" && operation && fault.type && fault.message,
      ),
    );
    const said = JSON.stringify(faults);
    assert.match(said, /OpenFGA returned status 400 \(validation_error\)/);
    assert.match(said, /no such table/);
    assert.match(said, /"operation":"POST \/bc-authorize"/);

    const printed = node.readOutput();
    assert.equal(words.exec(printed)?.[0], undefined);
    assert.ok(secrets.every((secret) => secret.length > 15));
    for (const secret of secrets) assert.ok(!printed.includes(secret), `secret ${secrets.indexOf(secret)}`);
  });
});
