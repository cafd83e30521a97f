import assert from "node:assert/strict";
import { test } from "node:test";
import { type Asked, createTestLog, type TestLog, tamper } from "@countersign/testing/audit/test-log";
import { verifyLog } from "../audit.ts";
import type { entryChecks } from "./history.ts";

/** A story whose last entry breaks one rule and no other. */
type Counterexample = {
  readonly rule: string;
  readonly what: RegExp;
  readonly tell: (book: TestLog) => Promise<unknown>;
};

const about = ({ id: request, digest }: Asked) => ({ request, agent: "agent-1", digest });

const counterexamples: { readonly [rule in keyof typeof entryChecks]: Counterexample } = {
  idIsNew: {
    rule: "an entry has an id of its own",
    what: /^the id log_\w+ was given to an earlier entry$/,
    tell: async (book) => {
      const { entry, texts } = await book.write("agent.added", { agent: "agent-1" });
      return { entry: { ...entry, agent: "agent-2" }, texts };
    },
  },
  eventIsKnown: {
    rule: "nothing happens to a request that these rules do not know",
    what: /^request\.narrowed is not an event/,
    tell: async (book) => book.write("request.narrowed", about(await book.ask())),
  },
  entryIsComplete: {
    rule: "a decision says who decided",
    what: /^request\.denied does not say its approver$/,
    tell: async (book) => {
      const asked = await book.ask();
      await book.write("request.denied", { ...about(asked), facts: { card_hash: asked.cardHash } });
    },
  },
  createdFirst: {
    rule: "a request is created before anything else about it",
    what: /^message\.sent is about req_0, which was not created/,
    tell: (book) => book.write("message.sent", { request: "req_0", approver: "apr_ada" }),
  },
  createdOnce: {
    rule: "a request is created once",
    what: /^req_1 was created before$/,
    tell: async (book) => {
      const { id: request, digest } = await book.ask();
      await book.ask({ about: { request, digest, texts: {} } });
    },
  },
  endsOnce: {
    rule: "T24: a denied request is not approved as well",
    what: /^req_1 was denied already, which is final: request\.approved cannot follow$/,
    tell: async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada", "denied");
      await book.decide(asked, "apr_bob");
    },
  },
  statesInOrder: {
    rule: "T26: a request that nobody approved expires, it does not lapse",
    what: /^req_1 was pending: request\.lapsed cannot follow$/,
    tell: async (book) => book.end(await book.ask(), "lapsed"),
  },
  decidedByCandidate: {
    rule: "T1: only one of those who may decide decides",
    what: /^apr_eve decided, and was not one of those who may$/,
    tell: async (book) => book.decide(await book.ask(), "apr_eve"),
  },
  decidedInTime: {
    rule: "T11: a request is decided before it expires, not at that instant",
    what: /^req_1 was decided after it had expired$/,
    tell: async (book) => {
      const asked = await book.ask();
      book.clock.now = asked.expiresAt;
      await book.decide(asked, "apr_ada");
    },
  },
  cancelledInTime: {
    rule: "an expired request is not cancelled",
    what: /^req_1 was cancelled after it had expired$/,
    tell: async (book) => {
      const asked = await book.ask();
      book.clock.now = asked.expiresAt;
      await book.end(asked, "cancelled");
    },
  },
  notExpiredEarly: {
    rule: "a request does not expire before its time",
    what: /^req_1 was written off before its time had run out$/,
    tell: async (book) => {
      const asked = await book.ask();
      book.clock.now = asked.expiresAt - 1;
      await book.write("request.expired", about(asked));
    },
  },
  sameDigest: {
    rule: "T9: every entry about a request has its digest",
    what: /^request\.approved has another digest/,
    tell: async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada", "approved", { about: { digest: (await book.ask()).digest } });
    },
  },
  sameAgent: {
    rule: "every entry about a request names the agent that asked",
    what: /^request\.approved names another agent/,
    tell: async (book) =>
      book.decide(await book.ask(), "apr_ada", "approved", { about: { agent: "agent-2" } }),
  },
  sameCard: {
    rule: "T10: a decision is on the card that was made for the request",
    what: /^req_1 was decided on another card/,
    tell: async (book) => {
      const [asked, other] = [await book.ask(), await book.ask()];
      await book.decide(asked, "apr_ada", "denied", { facts: { card_hash: other.cardHash } });
    },
  },
  levelReached: {
    rule: "an approval is not proved more weakly than was asked for",
    what: /^req_1 was approved with a weaker proof than passkey$/,
    tell: async (book) => book.decide(await book.ask({ facts: { level: "passkey" } }), "apr_ada"),
  },

  issuedOnce: {
    rule: "T18: one approval becomes one token",
    what: /^req_1 was turned into a token before$/,
    tell: async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      await book.issue(asked, "apr_ada");
      await book.issue(asked, "apr_ada");
    },
  },
  issuedAfterApproval: {
    rule: "a token is issued only after an approval",
    what: /^a token was issued for req_1, which was pending and not approved$/,
    tell: async (book) => book.issue(await book.ask(), "apr_ada"),
  },
  issuedInTime: {
    rule: "T19: an approval that was not redeemed in time is not redeemed",
    what: /^a token was issued for req_1 after it had expired$/,
    tell: async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      book.clock.now = asked.expiresAt;
      await book.issue(asked, "apr_ada");
    },
  },
  issuedForDecision: {
    rule: "a token is issued in the name of the one who approved",
    what: /^a token was issued in the name of somebody who did not approve$/,
    tell: async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      await book.issue(asked, "apr_bob");
    },
  },
  tokenIsNew: {
    rule: "a token belongs to one request",
    what: /^the token tok_\d+ was issued before$/,
    tell: async (book) => {
      const [first, second] = [await book.ask(), await book.ask()];
      await book.decide(first, "apr_ada");
      await book.decide(second, "apr_ada");
      const { token } = await book.issue(first, "apr_ada");
      await book.issue(second, "apr_ada", { about: { token } });
    },
  },
  tokenIsOfRequest: {
    rule: "what is spent is the token of the request that it is spent for",
    what: /^token\.reserved names the token tok_\d+, which was not issued for that request$/,
    tell: async (book) => {
      const [first, second] = [await book.ask(), await book.ask()];
      await book.decide(first, "apr_ada");
      const issued = await book.issue(first, "apr_ada");
      await book.spend({ ...issued, asked: second }, "reserved");
    },
  },
  spentOnce: {
    rule: "a token is reserved once",
    what: /^the token tok_\d+ was reserved already: token\.reserved cannot follow$/,
    tell: async (book) => {
      const issued = await tokenFor(book);
      await book.spend(issued, "reserved");
      await book.spend(issued, "reserved");
    },
  },
  reservedInTime: {
    rule: "an expired token is not reserved",
    what: /^the token tok_\d+ was reserved after it had expired$/,
    tell: async (book) => {
      const issued = await tokenFor(book);
      book.clock.now = issued.expiresAt;
      await book.spend(issued, "reserved");
    },
  },
  tokenNotExpiredEarly: {
    rule: "a token does not expire before its time",
    what: /^the token tok_\d+ was written off before its time had run out$/,
    tell: async (book) => {
      const { asked, token, expiresAt } = await tokenFor(book);
      book.clock.now = expiresAt - 1;
      await book.write("token.expired", { ...about(asked), token });
    },
  },
  callbackAfterDecision: {
    rule: "an agent is told of an answer when there is one",
    what: /^the agent of req_1 was told of an answer, and there was none$/,
    tell: async (book) => {
      const { request, agent } = about(await book.ask());
      await book.write("callback.sent", { request, agent, facts: { mode: "ping", attempt: 1 } });
    },
  },
  abandonedWithLiveToken: {
    rule: "T20: a token that could not be delivered is revoked before it is given up",
    what: /^the token tok_\d+ could not be delivered, and was left alive$/,
    tell: async (book) => {
      const { asked, token } = await tokenFor(book);
      const { request, agent } = about(asked);
      await book.write("callback.abandoned", { request, agent, token, facts: { mode: "push", attempt: 1 } });
    },
  },
  settledAfterReserved: {
    rule: "a token that nobody reserved is not completed",
    what: /^the token tok_\d+ was issued: token\.completed follows only a reservation$/,
    tell: async (book) => book.spend(await tokenFor(book), "completed"),
  },

  deviceIsComplete: {
    rule: "an enrolment says which public key it is about",
    what: /^device\.enrolled does not say/,
    tell: (book) => book.write("device.enrolled", { approver: "apr_ada", facts: { credential: "c" } }),
  },
  enrolledOnce: {
    rule: "a device that is enrolled is not enrolled over",
    what: /^the device [\w-]+ was enrolled already$/,
    tell: async (book) => {
      await book.enrol("apr_ada");
      const { facts } = book.entries.at(-1)!.entry;
      await book.write("device.enrolled", { approver: "apr_eve", facts });
    },
  },
  removedByOwner: {
    rule: "a device is removed by the approver whose it is",
    what: /^the device [\w-]+ was removed, and was not this approver's$/,
    tell: async (book) => {
      const { passkey } = await book.enrol("apr_ada");
      await book.write("device.removed", { approver: "apr_eve", facts: { credential: passkey.id } });
    },
  },
  currentName: {
    rule: "an entry of version 2 uses the current name of its event",
    what: /^latch\.reopened is the name of an event in entries of version 1; this one has version 2$/,
    tell: (book) => book.write("latch.reopened", { actor: { type: "admin", via: "cli" }, agent: "agent-1" }),
  },
  actorIsAllowed: {
    rule: "an agent does not release a denial",
    what: /^denial\.released was caused by the actor type agent, which cannot cause it$/,
    tell: (book) =>
      book.write("denial.released", {
        actor: { type: "agent", id: "agent-1", via: "oauth" },
        agent: "agent-1",
      }),
  },
  actorIsNamed: {
    rule: "the actor of an approval is its approver",
    what: /^request\.approved was caused by approver apr_bob, and names another approver or none$/,
    tell: async (book) => {
      const actor = { type: "approver", id: "apr_bob", via: "page" } as const;
      await book.decide(await book.ask(), "apr_ada", "approved", { about: { actor } });
    },
  },
};

async function tokenFor(book: TestLog) {
  const asked = await book.ask();
  await book.decide(asked, "apr_ada");
  return await book.issue(asked, "apr_ada");
}

/** The problems of a log that holds just this story. */
async function problemsOf(tell: (book: TestLog) => Promise<unknown>) {
  const book = createTestLog();
  const last = await tell(book);
  const entries = [...book.entries];
  if (typeof last === "object" && last !== null && "entry" in last && !entries.includes(last as never))
    entries.push(last as never); // what no store would take
  const verified = await verifyLog(await tamper(book, entries));
  await book.close();
  return { problems: "problems" in verified ? verified.problems : [], last: entries.length - 1 };
}

for (const { rule, what, tell } of Object.values(counterexamples)) {
  test(rule, async () => {
    const { problems, last } = await problemsOf(tell);
    assert.deepEqual(
      problems.map(({ index }) => index),
      [last],
      JSON.stringify(problems),
    );
    assert.match(problems[0]!.message, what);
  });
}

/** Further stories that the same rules refuse, by how they end. */
const alsoRefused: { readonly [story: string]: readonly [RegExp, (book: TestLog) => Promise<unknown>] } = {
  "approved twice": [
    /^req_1 was approved: request\.approved cannot follow$/,
    async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      await book.decide(asked, "apr_ada");
    },
  ],
  "expired after it was approved": [
    /^req_1 was approved: request\.expired cannot follow$/,
    async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      await book.end(asked, "expired");
    },
  ],
  "cancelled after it became a token": [
    /^req_1 was redeemed already, which is final: request\.cancelled cannot follow$/,
    async (book) => book.end((await tokenFor(book)).asked, "cancelled"),
  ],
  "a token after a denial": [
    /^a token was issued for req_1, which was denied and not approved$/,
    async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada", "denied");
      await book.issue(asked, "apr_ada");
    },
  ],
  "a token for another API": [
    /^a token was issued for another API than the approved one$/,
    async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      await book.issue(asked, "apr_ada", { facts: { audience: "https://bank.example" } });
    },
  ],
  "a token without an end": [
    /^token\.issued does not say when the token expires$/,
    async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      await book.issue(asked, "apr_ada", { facts: { expires_at: "never" } });
    },
  ],
  "reserved after it was completed": [
    /was completed already: token\.reserved cannot follow$/,
    async (book) => {
      const issued = await tokenFor(book);
      await book.spend(issued, "reserved");
      await book.spend(issued, "completed");
      await book.spend(issued, "reserved");
    },
  ],
  "failed after it was completed": [
    /was completed: token\.failed follows only a reservation$/,
    async (book) => {
      const issued = await tokenFor(book);
      await book.spend(issued, "reserved");
      await book.spend(issued, "completed");
      await book.spend(issued, "failed");
    },
  ],
  "a request whose card, candidates and expiry nobody wrote down": [
    /^request\.created does not say card, audience, level, candidates and expiry$/,
    (book) => book.ask({ facts: { candidates: "apr_ada" } }),
  ],
  "approved by an actor without an id": [
    /^request\.approved was caused by approver "", and names another approver or none$/,
    async (book) =>
      book.decide(await book.ask(), "apr_ada", "approved", {
        about: { actor: { type: "approver", via: "page" } },
      }),
  ],
  "approved by the server itself": [
    /^request\.approved was caused by the actor type system, which cannot cause it$/,
    async (book) =>
      book.decide(await book.ask(), "apr_ada", "approved", {
        about: { actor: { type: "system", via: "job" } },
      }),
  ],
  "an agent that is paused by another agent": [
    /^agent\.paused was caused by the actor type agent, which cannot cause it$/,
    (book) =>
      book.write("agent.paused", { actor: { type: "agent", id: "agent-1", via: "oauth" }, agent: "agent-1" }),
  ],
  "approved at a level that there is not": [
    /^req_1 was approved with a weaker proof than session$/,
    async (book) => book.decide(await book.ask(), "apr_ada", "approved", { facts: { level: "magic" } }),
  ],
};

for (const [story, [what, tell]] of Object.entries(alsoRefused)) {
  test(`refused: ${story}`, async () => {
    const { problems, last } = await problemsOf(tell);
    assert.deepEqual(
      problems.map(({ index }) => index),
      [last],
      JSON.stringify(problems),
    );
    assert.match(problems[0]!.message, what);
  });
}

test("an entry that may not be there changes nothing, so that what builds on it is refused as well", async () => {
  const { problems } = await problemsOf(async (book) => {
    const asked = await book.ask();
    await book.decide(asked, "apr_eve");
    await book.issue(asked, "apr_eve");
  });
  assert.deepEqual(
    problems.map(({ index }) => index),
    [1, 2],
  );
});

test("a silent reservation is unknown, and a late answer is still taken", async () => {
  for (const late of ["completed", "failed"] as const) {
    const { problems } = await problemsOf(async (book) => {
      const issued = await tokenFor(book);
      await book.spend(issued, "reserved");
      await book.spend(issued, "unknown");
      await book.spend(issued, late);
    });
    assert.deepEqual(problems, []);
  }
});

test("a device that was removed can be enrolled again", async () => {
  const { problems } = await problemsOf(async (book) => {
    const { passkey } = await book.enrol("apr_ada");
    const { facts } = book.entries.at(-1)!.entry;
    await book.write("device.removed", { approver: "apr_ada", facts: { credential: passkey.id } });
    await book.write("device.enrolled", { approver: "apr_ada", facts });
  });
  assert.deepEqual(problems, []);
});
