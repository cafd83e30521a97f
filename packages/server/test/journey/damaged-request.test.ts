/** A request whose database record was changed by other means than the server. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { beforeEach, describe, test } from "node:test";
import {
  findForm,
  issuer,
  readHiddenFields,
  refund,
  toRequestId,
} from "@countersign/testing/server/deployment";
import { useDeployment } from "@countersign/testing/server/use-deployment";
import { hashCard, type SingleCard } from "../../src/domain/action/card.ts";
import type { ApprovalRequest } from "../../src/domain/request/request.ts";

const deployment = useDeployment({ approvers: ["ada"], allowFaults: true });

let orders = 0;
async function ask(type = "refund") {
  orders += 1;
  const details = JSON.stringify([{ ...refund, type, order: `T-${orders}` }]);
  const { body } = await deployment.ask({ authorization_details: details });
  return { authReqId: body.auth_req_id as string, id: toRequestId(body.auth_req_id) };
}

/** Changes the stored record, as a person with access to the database can. */
async function tamper(id: string, change: (request: ApprovalRequest) => ApprovalRequest): Promise<void> {
  const found = await deployment.server.store.read("request", id);
  assert.ok(found);
  const database = new DatabaseSync(deployment.file);
  const body = JSON.stringify(change(found.record));
  database.prepare("UPDATE request SET body = ? WHERE id = ?").run(body, id);
  database.close();
}

const cheap = (card: SingleCard): SingleCard => ({
  ...card,
  rows: card.rows.map((row) => (row.label === "Amount" ? { ...row, value: "$5.00" } : row)),
});

const changes: { readonly [what: string]: (request: ApprovalRequest) => ApprovalRequest } = {
  "the rows of the card": (request) => ({ ...request, card: cheap(request.card as SingleCard) }),
  "the rows of the card, and its hash": (request) => {
    const card = cheap(request.card as SingleCard);
    return { ...request, card, cardHash: hashCard(card) };
  },
  "the sentence of the card, and its hash": (request) => {
    const card = { ...(request.card as SingleCard), sentence: [{ text: "Do nothing" }] };
    return { ...request, card, cardHash: hashCard(card) };
  },
  "the agent's text on the card": (request) => {
    const card = request.card as SingleCard;
    return { ...request, card: { ...card, words: { ...card.words, message: "Routine" } } };
  },
  "the action": (request) => ({
    ...request,
    parts: request.parts.map((part) => ({ ...part, bound: { ...part.bound, amount: "9999999.00" } })),
  }),
  "the audience": (request) => ({ ...request, audience: "https://other.example" }),
  "the level": (request) => ({ ...request, level: "session" }),
};

describe("a request of which the database record was changed (T64)", () => {
  beforeEach(() => {
    deployment.faults.length = 0;
  });

  for (const [what, change] of Object.entries(changes)) {
    test(`${what}: is neither shown nor listed`, async () => {
      const { id } = await ask("signed-refund");
      await tamper(id, change);
      assert.equal((await deployment.ada.get(`/requests/${id}`)).status, 503);
      const inbox = await (await deployment.ada.get("/inbox")).text();
      assert.ok(!inbox.includes(`/requests/${id}`), "it is omitted, and the inbox still works");
      assert.match(String(deployment.faults[0]), new RegExp(`the record of request ${id} was changed`));
      assert.equal((await deployment.server.store.read("request", id))?.record.status.state, "pending");
    });
  }

  for (const what of ["the action", "the audience", "the rows of the card, and its hash"])
    test(`${what}, after the approval: yields no token`, async () => {
      const { id, authReqId } = await ask();
      assert.equal((await deployment.ada.decide(id, "approve")).status, 303);
      await tamper(id, changes[what]!);
      const { status, body } = await deployment.poll(authReqId);
      assert.deepEqual([status, body.error, body.access_token], [503, "temporarily_unavailable", undefined]);
      assert.equal((await deployment.server.store.read("request", id))?.record.status.state, "approved");
    });

  test("between showing the card and the decision: the decision is rejected", async () => {
    const { id } = await ask();
    const card = await (await deployment.ada.get(`/requests/${id}`)).text();
    assert.match(card, /10,000\.00/);
    const form = { ...readHiddenFields(findForm(card, "approve")), verdict: "approve" };
    await tamper(id, changes["the action"]!);
    const answer = await deployment.request(`/requests/${id}/decision`, {
      method: "POST",
      headers: { origin: issuer, cookie: deployment.ada.cookie },
      body: new URLSearchParams(form),
    });
    assert.equal(answer.status, 503);
    assert.equal((await deployment.server.store.read("request", id))?.record.status.state, "pending");
  });
});
