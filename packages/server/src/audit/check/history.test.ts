import assert from "node:assert/strict";
import { describe, test } from "node:test";
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
    rule: "rejects an entry with an id that exists",
    what: /^the id log_\w+ belongs to an earlier entry$/,
    tell: async (book) => {
      const { entry, texts } = await book.write("agent.added", { agent: "agent-1" });
      return { entry: { ...entry, agent: "agent-2" }, texts };
    },
  },
  eventIsKnown: {
    rule: "rejects an unknown event of a request",
    what: /^request\.narrowed is not a known event$/,
    tell: async (book) => book.write("request.narrowed", about(await book.ask())),
  },
  entryIsComplete: {
    rule: "rejects a decision that names no approver",
    what: /^request\.denied lacks approver$/,
    tell: async (book) => {
      const asked = await book.ask();
      await book.write("request.denied", { ...about(asked), facts: { card_hash: asked.cardHash } });
    },
  },
  createdFirst: {
    rule: "rejects an entry about a request before its creation",
    what: /^message\.sent is about req_0, which was not created/,
    tell: (book) => book.write("message.sent", { request: "req_0", approver: "apr_ada" }),
  },
  createdOnce: {
    rule: "rejects a second creation of a request",
    what: /^req_1 was already created$/,
    tell: async (book) => {
      const { id: request, digest } = await book.ask();
      await book.ask({ about: { request, digest, texts: {} } });
    },
  },
  endsOnce: {
    rule: "rejects the approval of a denied request (T24)",
    what: /^req_1 is denied, which is final: request\.approved cannot follow$/,
    tell: async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada", "denied");
      await book.decide(asked, "apr_bob");
    },
  },
  statesInOrder: {
    rule: "rejects a lapse of a request that was not approved; it expires (T26)",
    what: /^req_1 is pending: request\.lapsed cannot follow$/,
    tell: async (book) => book.end(await book.ask(), "lapsed"),
  },
  decidedByCandidate: {
    rule: "rejects a decision by an approver who is not a candidate (T1)",
    what: /^apr_eve decided, but is not a candidate$/,
    tell: async (book) => book.decide(await book.ask(), "apr_eve"),
  },
  decidedInTime: {
    rule: "rejects a decision at the instant of expiry (T11)",
    what: /^req_1 was decided after it expired$/,
    tell: async (book) => {
      const asked = await book.ask();
      book.clock.now = asked.expiresAt;
      await book.decide(asked, "apr_ada");
    },
  },
  cancelledInTime: {
    rule: "rejects the cancellation of an expired request",
    what: /^req_1 was cancelled after it expired$/,
    tell: async (book) => {
      const asked = await book.ask();
      book.clock.now = asked.expiresAt;
      await book.end(asked, "cancelled");
    },
  },
  notExpiredEarly: {
    rule: "rejects an expiry before its time",
    what: /^req_1 was ended before it expired$/,
    tell: async (book) => {
      const asked = await book.ask();
      book.clock.now = asked.expiresAt - 1;
      await book.write("request.expired", about(asked));
    },
  },
  sameDigest: {
    rule: "rejects an entry about a request with another digest (T9)",
    what: /^request\.approved has another digest/,
    tell: async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada", "approved", { about: { digest: (await book.ask()).digest } });
    },
  },
  sameAgent: {
    rule: "rejects an entry about a request that names another agent",
    what: /^request\.approved names another agent/,
    tell: async (book) =>
      book.decide(await book.ask(), "apr_ada", "approved", { about: { agent: "agent-2" } }),
  },
  sameCard: {
    rule: "rejects a decision on another card than the request's (T10)",
    what: /^req_1 was decided on another card/,
    tell: async (book) => {
      const [asked, other] = [await book.ask(), await book.ask()];
      await book.decide(asked, "apr_ada", "denied", { facts: { card_hash: other.cardHash } });
    },
  },
  levelReached: {
    rule: "rejects an approval below the required level",
    what: /^req_1 was approved at a lower level than passkey$/,
    tell: async (book) => book.decide(await book.ask({ facts: { level: "passkey" } }), "apr_ada"),
  },

  issuedOnce: {
    rule: "rejects a second token for one approval (T18)",
    what: /^req_1 was already redeemed$/,
    tell: async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      await book.issue(asked, "apr_ada");
      await book.issue(asked, "apr_ada");
    },
  },
  issuedAfterApproval: {
    rule: "rejects a token before an approval",
    what: /^a token was issued for req_1, which is pending and not approved$/,
    tell: async (book) => book.issue(await book.ask(), "apr_ada"),
  },
  issuedInTime: {
    rule: "rejects the redemption of an expired approval (T19)",
    what: /^a token was issued for req_1 after it expired$/,
    tell: async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      book.clock.now = asked.expiresAt;
      await book.issue(asked, "apr_ada");
    },
  },
  issuedForDecision: {
    rule: "rejects a token in the name of another approver",
    what: /^a token was issued in the name of another person than the approver$/,
    tell: async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      await book.issue(asked, "apr_bob");
    },
  },
  tokenIsNew: {
    rule: "rejects a token of two requests",
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
    rule: "rejects a spend that names the token of another request",
    what: /^token\.reserved names the token tok_\d+, which was not issued for this request$/,
    tell: async (book) => {
      const [first, second] = [await book.ask(), await book.ask()];
      await book.decide(first, "apr_ada");
      const issued = await book.issue(first, "apr_ada");
      await book.spend({ ...issued, asked: second }, "reserved");
    },
  },
  spentOnce: {
    rule: "rejects a second reservation of a token",
    what: /^the token tok_\d+ is already reserved: token\.reserved cannot follow$/,
    tell: async (book) => {
      const issued = await tokenFor(book);
      await book.spend(issued, "reserved");
      await book.spend(issued, "reserved");
    },
  },
  reservedInTime: {
    rule: "rejects the reservation of an expired token",
    what: /^the token tok_\d+ was reserved after it expired$/,
    tell: async (book) => {
      const issued = await tokenFor(book);
      book.clock.now = issued.expiresAt;
      await book.spend(issued, "reserved");
    },
  },
  tokenNotExpiredEarly: {
    rule: "rejects a token's expiry before its time",
    what: /^the token tok_\d+ was ended before it expired$/,
    tell: async (book) => {
      const { asked, token, expiresAt } = await tokenFor(book);
      book.clock.now = expiresAt - 1;
      await book.write("token.expired", { ...about(asked), token });
    },
  },
  callbackAfterDecision: {
    rule: "rejects a callback before a decision",
    what: /^a callback was sent for req_1 before it was decided$/,
    tell: async (book) => {
      const { request, agent } = about(await book.ask());
      await book.write("callback.sent", { request, agent, facts: { mode: "ping", attempt: 1 } });
    },
  },
  abandonedWithLiveToken: {
    rule: "rejects an abandoned callback whose undeliverable token was not revoked (T20)",
    what: /^the token tok_\d+ could not be delivered and was not revoked$/,
    tell: async (book) => {
      const { asked, token } = await tokenFor(book);
      const { request, agent } = about(asked);
      await book.write("callback.abandoned", { request, agent, token, facts: { mode: "push", attempt: 1 } });
    },
  },
  settledAfterReserved: {
    rule: "rejects the completion of a token that was not reserved",
    what: /^the token tok_\d+ is issued: token\.completed can only follow a reservation$/,
    tell: async (book) => book.spend(await tokenFor(book), "completed"),
  },

  deviceIsComplete: {
    rule: "rejects an enrolment without a public key",
    what: /^device\.enrolled lacks approver, credential, public_key, rp_id or origin$/,
    tell: (book) => book.write("device.enrolled", { approver: "apr_ada", facts: { credential: "c" } }),
  },
  enrolledOnce: {
    rule: "rejects the enrolment of an enrolled device",
    what: /^the device [\w-]+ is already enrolled$/,
    tell: async (book) => {
      await book.enrol("apr_ada");
      const { facts } = book.entries.at(-1)!.entry;
      await book.write("device.enrolled", { approver: "apr_eve", facts });
    },
  },
  removedByOwner: {
    rule: "rejects the removal of a device of another approver",
    what: /^the device [\w-]+ was removed, but does not belong to this approver$/,
    tell: async (book) => {
      const { passkey } = await book.enrol("apr_ada");
      await book.write("device.removed", { approver: "apr_eve", facts: { credential: passkey.id } });
    },
  },
  currentName: {
    rule: "rejects an entry of version 2 with a former name of its event",
    what: /^latch\.reopened is the name of an event in entries of version 1; this one has version 2$/,
    tell: (book) => book.write("latch.reopened", { actor: { type: "admin", via: "cli" }, agent: "agent-1" }),
  },
  actorIsAllowed: {
    rule: "rejects the release of a denial by an agent",
    what: /^denial\.released was caused by the actor type agent, which cannot cause it$/,
    tell: (book) =>
      book.write("denial.released", {
        actor: { type: "agent", id: "agent-1", via: "oauth" },
        agent: "agent-1",
      }),
  },
  actorIsNamed: {
    rule: "rejects an approval whose actor is not its approver",
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

describe("entry checks", () => {
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
    "a second approval": [
      /^req_1 is approved: request\.approved cannot follow$/,
      async (book) => {
        const asked = await book.ask();
        await book.decide(asked, "apr_ada");
        await book.decide(asked, "apr_ada");
      },
    ],
    "an expiry after an approval": [
      /^req_1 is approved: request\.expired cannot follow$/,
      async (book) => {
        const asked = await book.ask();
        await book.decide(asked, "apr_ada");
        await book.end(asked, "expired");
      },
    ],
    "a cancellation after the redemption": [
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
    "a reservation after the completion": [
      /is already completed: token\.reserved cannot follow$/,
      async (book) => {
        const issued = await tokenFor(book);
        await book.spend(issued, "reserved");
        await book.spend(issued, "completed");
        await book.spend(issued, "reserved");
      },
    ],
    "a failure after the completion": [
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
    "an approval by an actor without an id": [
      /^request\.approved was caused by approver "", and names another approver or none$/,
      async (book) =>
        book.decide(await book.ask(), "apr_ada", "approved", {
          about: { actor: { type: "approver", via: "page" } },
        }),
    ],
    "an approval by the server itself": [
      /^request\.approved was caused by the actor type system, which cannot cause it$/,
      async (book) =>
        book.decide(await book.ask(), "apr_ada", "approved", {
          about: { actor: { type: "system", via: "job" } },
        }),
    ],
    "a pause by an agent": [
      /^agent\.paused was caused by the actor type agent, which cannot cause it$/,
      (book) =>
        book.write("agent.paused", {
          actor: { type: "agent", id: "agent-1", via: "oauth" },
          agent: "agent-1",
        }),
    ],
    "an approval at an unknown level": [
      /^req_1 was approved at a lower level than session$/,
      async (book) => book.decide(await book.ask(), "apr_ada", "approved", { facts: { level: "magic" } }),
    ],
  };

  for (const [story, [what, tell]] of Object.entries(alsoRefused)) {
    test(`rejects ${story}`, async () => {
      const { problems, last } = await problemsOf(tell);
      assert.deepEqual(
        problems.map(({ index }) => index),
        [last],
        JSON.stringify(problems),
      );
      assert.match(problems[0]!.message, what);
    });
  }

  test("does not apply a rejected entry, so entries that build on it are rejected", async () => {
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

  test("accepts a reservation with an unknown result, and a late result after it", async () => {
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

  test("accepts that a removed device is enrolled again", async () => {
    const { problems } = await problemsOf(async (book) => {
      const { passkey } = await book.enrol("apr_ada");
      const { facts } = book.entries.at(-1)!.entry;
      await book.write("device.removed", { approver: "apr_ada", facts: { credential: passkey.id } });
      await book.write("device.enrolled", { approver: "apr_ada", facts });
    });
    assert.deepEqual(problems, []);
  });
});
