import assert from "node:assert/strict";
import { test } from "node:test";
import { type AskedRequest, createTestLog, type TestLog, tamper } from "@countersign/testing/audit/test-log";
import { verifyLog } from "../audit.ts";
import type { entryChecks } from "./history.ts";

/** A story whose last entry breaks one rule and no other. */
type Counterexample = {
  readonly rule: string;
  readonly what: RegExp;
  readonly tell: (book: TestLog) => Promise<unknown>;
};

const about = ({ id: request, digest }: AskedRequest) => ({ request, agent: "agent-1", digest });

const counterexamples: { readonly [rule in keyof typeof entryChecks]: Counterexample } = {
  idIsNew: {
    rule: "the id of an entry is unique",
    what: /^the id log_\w+ belongs to an earlier entry$/,
    tell: async (book) => {
      const { entry, texts } = await book.write("agent.added", { agent: "agent-1" });
      return { entry: { ...entry, agent: "agent-2" }, texts };
    },
  },
  eventIsKnown: {
    rule: "every event of a request is known",
    what: /^request\.narrowed is not a known event$/,
    tell: async (book) => book.write("request.narrowed", about(await book.ask())),
  },
  entryIsComplete: {
    rule: "a decision names its approver",
    what: /^request\.denied lacks approver$/,
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
    what: /^req_1 was already created$/,
    tell: async (book) => {
      const { id: request, digest } = await book.ask();
      await book.ask({ about: { request, digest, texts: {} } });
    },
  },
  endsOnce: {
    rule: "T24: a denied request is not approved",
    what: /^req_1 is denied, which is final: request\.approved cannot follow$/,
    tell: async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada", "denied");
      await book.decide(asked, "apr_bob");
    },
  },
  statesInOrder: {
    rule: "T26: a request that was not approved expires and does not lapse",
    what: /^req_1 is pending: request\.lapsed cannot follow$/,
    tell: async (book) => book.end(await book.ask(), "lapsed"),
  },
  decidedByCandidate: {
    rule: "T1: only a candidate decides",
    what: /^apr_eve decided, but is not a candidate$/,
    tell: async (book) => book.decide(await book.ask(), "apr_eve"),
  },
  decidedInTime: {
    rule: "T11: a request is decided before it expires, not at that instant",
    what: /^req_1 was decided after it expired$/,
    tell: async (book) => {
      const asked = await book.ask();
      book.clock.now = asked.expiresAt;
      await book.decide(asked, "apr_ada");
    },
  },
  cancelledInTime: {
    rule: "an expired request is not cancelled",
    what: /^req_1 was cancelled after it expired$/,
    tell: async (book) => {
      const asked = await book.ask();
      book.clock.now = asked.expiresAt;
      await book.end(asked, "cancelled");
    },
  },
  notExpiredEarly: {
    rule: "a request does not expire before its time",
    what: /^req_1 was ended before it expired$/,
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
    rule: "an approval reaches the required level",
    what: /^req_1 was approved at a lower level than passkey$/,
    tell: async (book) => book.decide(await book.ask({ facts: { level: "passkey" } }), "apr_ada"),
  },

  issuedOnce: {
    rule: "T18: one approval becomes one token",
    what: /^req_1 was already redeemed$/,
    tell: async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      await book.issue(asked, "apr_ada");
      await book.issue(asked, "apr_ada");
    },
  },
  issuedAfterApproval: {
    rule: "a token is issued only after an approval",
    what: /^a token was issued for req_1, which is pending and not approved$/,
    tell: async (book) => book.issue(await book.ask(), "apr_ada"),
  },
  issuedInTime: {
    rule: "T19: an expired approval is not redeemed",
    what: /^a token was issued for req_1 after it expired$/,
    tell: async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      book.clock.now = asked.expiresAt;
      await book.issue(asked, "apr_ada");
    },
  },
  issuedForDecision: {
    rule: "a token is issued in the name of its approver",
    what: /^a token was issued in the name of another person than the approver$/,
    tell: async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      await book.issue(asked, "apr_bob");
    },
  },
  tokenIsNew: {
    rule: "a token belongs to one request",
    what: /^the token tok_\d+ was already issued$/,
    tell: async (book) => {
      const [first, second] = [await book.ask(), await book.ask()];
      await book.decide(first, "apr_ada");
      await book.decide(second, "apr_ada");
      const { token } = await book.issue(first, "apr_ada");
      await book.issue(second, "apr_ada", { about: { token } });
    },
  },
  tokenIsOfRequest: {
    rule: "a spend names the token of its request",
    what: /^token\.reserved names the token tok_\d+, which was not issued for this request$/,
    tell: async (book) => {
      const [first, second] = [await book.ask(), await book.ask()];
      await book.decide(first, "apr_ada");
      const issued = await book.issue(first, "apr_ada");
      await book.spend({ ...issued, asked: second }, "reserved");
    },
  },
  spentOnce: {
    rule: "a token is reserved once",
    what: /^the token tok_\d+ is already reserved: token\.reserved cannot follow$/,
    tell: async (book) => {
      const issued = await tokenFor(book);
      await book.spend(issued, "reserved");
      await book.spend(issued, "reserved");
    },
  },
  reservedInTime: {
    rule: "an expired token is not reserved",
    what: /^the token tok_\d+ was reserved after it expired$/,
    tell: async (book) => {
      const issued = await tokenFor(book);
      book.clock.now = issued.expiresAt;
      await book.spend(issued, "reserved");
    },
  },
  tokenNotExpiredEarly: {
    rule: "a token does not expire before its time",
    what: /^the token tok_\d+ was ended before it expired$/,
    tell: async (book) => {
      const { asked, token, expiresAt } = await tokenFor(book);
      book.clock.now = expiresAt - 1;
      await book.write("token.expired", { ...about(asked), token });
    },
  },
  callbackAfterDecision: {
    rule: "a callback follows a decision",
    what: /^a callback was sent for req_1 before it was decided$/,
    tell: async (book) => {
      const { request, agent } = about(await book.ask());
      await book.write("callback.sent", { request, agent, facts: { mode: "ping", attempt: 1 } });
    },
  },
  abandonedWithLiveToken: {
    rule: "T20: an undeliverable token is revoked when its callback is abandoned",
    what: /^the token tok_\d+ could not be delivered and was not revoked$/,
    tell: async (book) => {
      const { asked, token } = await tokenFor(book);
      const { request, agent } = about(asked);
      await book.write("callback.abandoned", { request, agent, token, facts: { mode: "push", attempt: 1 } });
    },
  },
  settledAfterReserved: {
    rule: "a token is completed only after a reservation",
    what: /^the token tok_\d+ is issued: token\.completed can only follow a reservation$/,
    tell: async (book) => book.spend(await tokenFor(book), "completed"),
  },

  deviceIsComplete: {
    rule: "an enrolment names its public key",
    what: /^device\.enrolled lacks approver, credential, public_key, rp_id or origin$/,
    tell: (book) => book.write("device.enrolled", { approver: "apr_ada", facts: { credential: "c" } }),
  },
  enrolledOnce: {
    rule: "an enrolled device is not enrolled again",
    what: /^the device [\w-]+ is already enrolled$/,
    tell: async (book) => {
      await book.enrol("apr_ada");
      const { facts } = book.entries.at(-1)!.entry;
      await book.write("device.enrolled", { approver: "apr_eve", facts });
    },
  },
  removedByOwner: {
    rule: "a removed device belongs to the approver in its entry",
    what: /^the device [\w-]+ was removed, but does not belong to this approver$/,
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
    /^req_1 is approved: request\.approved cannot follow$/,
    async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      await book.decide(asked, "apr_ada");
    },
  ],
  "expired after it was approved": [
    /^req_1 is approved: request\.expired cannot follow$/,
    async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      await book.end(asked, "expired");
    },
  ],
  "cancelled after it became a token": [
    /^req_1 is redeemed, which is final: request\.cancelled cannot follow$/,
    async (book) => book.end((await tokenFor(book)).asked, "cancelled"),
  ],
  "a token after a denial": [
    /^a token was issued for req_1, which is denied and not approved$/,
    async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada", "denied");
      await book.issue(asked, "apr_ada");
    },
  ],
  "a token for another API": [
    /^a token was issued for another audience than the approved one$/,
    async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      await book.issue(asked, "apr_ada", { facts: { audience: "https://bank.example" } });
    },
  ],
  "a token without an expiry": [
    /^token\.issued lacks expires_at$/,
    async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      await book.issue(asked, "apr_ada", { facts: { expires_at: "never" } });
    },
  ],
  "reserved after it was completed": [
    /is already completed: token\.reserved cannot follow$/,
    async (book) => {
      const issued = await tokenFor(book);
      await book.spend(issued, "reserved");
      await book.spend(issued, "completed");
      await book.spend(issued, "reserved");
    },
  ],
  "failed after it was completed": [
    /is completed: token\.failed can only follow a reservation$/,
    async (book) => {
      const issued = await tokenFor(book);
      await book.spend(issued, "reserved");
      await book.spend(issued, "completed");
      await book.spend(issued, "failed");
    },
  ],
  "a request whose candidates are not a list": [
    /^request\.created lacks card_hash, audience, level, candidates or expires_at$/,
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
  "approved at an unknown level": [
    /^req_1 was approved at a lower level than session$/,
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

test("a rejected entry is not applied, so entries that build on it are rejected", async () => {
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

test("a reservation without a result is unknown, and a late result is accepted", async () => {
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
