import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type AskedRequest, createTestLog, type TestLog, tamper } from "@countersign/testing/audit/test-log";
import { verifyLog } from "../audit.ts";
import type { entryChecks } from "./history.ts";

/** A log whose last entry violates one check and no other. */
type Counterexample = {
  readonly title: string;
  readonly message: RegExp;
  readonly write: (book: TestLog) => Promise<unknown>;
};

const about = ({ id: request, digest }: AskedRequest) => ({ request, agent: "agent-1", digest });

const counterexamples: { readonly [rule in keyof typeof entryChecks]: Counterexample } = {
  idIsNew: {
    title: "rejects an entry with an id that exists",
    message: /^the id log_\w+ belongs to an earlier entry$/,
    write: async (book) => {
      const { entry, texts } = await book.write("agent.added", { agent: "agent-1" });
      return { entry: { ...entry, agent: "agent-2" }, texts };
    },
  },
  eventIsKnown: {
    title: "rejects an unknown event of a request",
    message: /^request\.narrowed is not a known event$/,
    write: async (book) => book.write("request.narrowed", about(await book.ask())),
  },
  entryIsComplete: {
    title: "rejects a decision that names no approver",
    message: /^request\.denied lacks approver$/,
    write: async (book) => {
      const asked = await book.ask();
      await book.write("request.denied", { ...about(asked), facts: { card_hash: asked.cardHash } });
    },
  },
  createdFirst: {
    title: "rejects an entry about a request before its creation",
    message: /^message\.sent is about req_0, which was not created/,
    write: (book) => book.write("message.sent", { request: "req_0", approver: "apr_ada" }),
  },
  createdOnce: {
    title: "rejects a second creation of a request",
    message: /^req_1 was already created$/,
    write: async (book) => {
      const { id: request, digest } = await book.ask();
      await book.ask({ about: { request, digest, texts: {} } });
    },
  },
  endsOnce: {
    title: "rejects the approval of a denied request (T24)",
    message: /^req_1 is denied, which is final: request\.approved cannot follow$/,
    write: async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada", "denied");
      await book.decide(asked, "apr_bob");
    },
  },
  statesInOrder: {
    title: "rejects a lapse of a request that was not approved; it expires (T26)",
    message: /^req_1 is pending: request\.lapsed cannot follow$/,
    write: async (book) => book.end(await book.ask(), "lapsed"),
  },
  decidedByCandidate: {
    title: "rejects a decision by an approver who is not a candidate (T1)",
    message: /^apr_eve decided, but is not a candidate$/,
    write: async (book) => book.decide(await book.ask(), "apr_eve"),
  },
  decidedInTime: {
    title: "rejects a decision at the instant of expiry (T11)",
    message: /^req_1 was decided after it expired$/,
    write: async (book) => {
      const asked = await book.ask();
      book.clock.now = asked.expiresAt;
      await book.decide(asked, "apr_ada");
    },
  },
  cancelledInTime: {
    title: "rejects the cancellation of an expired request",
    message: /^req_1 was cancelled after it expired$/,
    write: async (book) => {
      const asked = await book.ask();
      book.clock.now = asked.expiresAt;
      await book.end(asked, "cancelled");
    },
  },
  notExpiredEarly: {
    title: "rejects an expiry before its time",
    message: /^req_1 was ended before it expired$/,
    write: async (book) => {
      const asked = await book.ask();
      book.clock.now = asked.expiresAt - 1;
      await book.write("request.expired", about(asked));
    },
  },
  sameDigest: {
    title: "rejects an entry about a request with another digest (T9)",
    message: /^request\.approved has another digest/,
    write: async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada", "approved", { about: { digest: (await book.ask()).digest } });
    },
  },
  sameAgent: {
    title: "rejects an entry about a request that names another agent",
    message: /^request\.approved names another agent/,
    write: async (book) =>
      book.decide(await book.ask(), "apr_ada", "approved", { about: { agent: "agent-2" } }),
  },
  sameCard: {
    title: "rejects a decision on another card than the request's (T10)",
    message: /^req_1 was decided on another card/,
    write: async (book) => {
      const [asked, other] = [await book.ask(), await book.ask()];
      await book.decide(asked, "apr_ada", "denied", { facts: { card_hash: other.cardHash } });
    },
  },
  levelReached: {
    title: "rejects an approval below the required level",
    message: /^req_1 was approved at a lower level than passkey$/,
    write: async (book) => book.decide(await book.ask({ facts: { level: "passkey" } }), "apr_ada"),
  },

  issuedOnce: {
    title: "rejects a second token for one approval (T18)",
    message: /^req_1 was already redeemed$/,
    write: async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      await book.issue(asked, "apr_ada");
      await book.issue(asked, "apr_ada");
    },
  },
  issuedAfterApproval: {
    title: "rejects a token before an approval",
    message: /^a token was issued for req_1, which is pending and not approved$/,
    write: async (book) => book.issue(await book.ask(), "apr_ada"),
  },
  issuedInTime: {
    title: "rejects the redemption of an expired approval (T19)",
    message: /^a token was issued for req_1 after it expired$/,
    write: async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      book.clock.now = asked.expiresAt;
      await book.issue(asked, "apr_ada");
    },
  },
  issuedForDecision: {
    title: "rejects a token in the name of another approver",
    message: /^a token was issued in the name of another person than the approver$/,
    write: async (book) => {
      const asked = await book.ask();
      await book.decide(asked, "apr_ada");
      await book.issue(asked, "apr_bob");
    },
  },
  tokenIsNew: {
    title: "rejects a token of two requests",
    message: /^the token tok_\d+ was already issued$/,
    write: async (book) => {
      const [first, second] = [await book.ask(), await book.ask()];
      await book.decide(first, "apr_ada");
      await book.decide(second, "apr_ada");
      const { token } = await book.issue(first, "apr_ada");
      await book.issue(second, "apr_ada", { about: { token } });
    },
  },
  tokenIsOfRequest: {
    title: "rejects a spend that names the token of another request",
    message: /^token\.reserved names the token tok_\d+, which was not issued for this request$/,
    write: async (book) => {
      const [first, second] = [await book.ask(), await book.ask()];
      await book.decide(first, "apr_ada");
      const issued = await book.issue(first, "apr_ada");
      await book.spend({ ...issued, asked: second }, "reserved");
    },
  },
  spentOnce: {
    title: "rejects a second reservation of a token",
    message: /^the token tok_\d+ is already reserved: token\.reserved cannot follow$/,
    write: async (book) => {
      const issued = await tokenFor(book);
      await book.spend(issued, "reserved");
      await book.spend(issued, "reserved");
    },
  },
  reservedInTime: {
    title: "rejects the reservation of an expired token",
    message: /^the token tok_\d+ was reserved after it expired$/,
    write: async (book) => {
      const issued = await tokenFor(book);
      book.clock.now = issued.expiresAt;
      await book.spend(issued, "reserved");
    },
  },
  tokenNotExpiredEarly: {
    title: "rejects a token's expiry before its time",
    message: /^the token tok_\d+ was ended before it expired$/,
    write: async (book) => {
      const { asked, token, expiresAt } = await tokenFor(book);
      book.clock.now = expiresAt - 1;
      await book.write("token.expired", { ...about(asked), token });
    },
  },
  callbackAfterDecision: {
    title: "rejects a callback before a decision",
    message: /^a callback was sent for req_1 before it was decided$/,
    write: async (book) => {
      const { request, agent } = about(await book.ask());
      await book.write("callback.sent", { request, agent, facts: { mode: "ping", attempt: 1 } });
    },
  },
  abandonedWithLiveToken: {
    title: "rejects an abandoned callback whose undeliverable token was not revoked (T20)",
    message: /^the token tok_\d+ could not be delivered and was not revoked$/,
    write: async (book) => {
      const { asked, token } = await tokenFor(book);
      const { request, agent } = about(asked);
      await book.write("callback.abandoned", { request, agent, token, facts: { mode: "push", attempt: 1 } });
    },
  },
  settledAfterReserved: {
    title: "rejects the completion of a token that was not reserved",
    message: /^the token tok_\d+ is issued: token\.completed can only follow a reservation$/,
    write: async (book) => book.spend(await tokenFor(book), "completed"),
  },

  deviceIsComplete: {
    title: "rejects an enrolment without a public key",
    message: /^device\.enrolled lacks approver, credential, public_key, rp_id or origin$/,
    write: (book) => book.write("device.enrolled", { approver: "apr_ada", facts: { credential: "c" } }),
  },
  enrolledOnce: {
    title: "rejects the enrolment of an enrolled device",
    message: /^the device [\w-]+ is already enrolled$/,
    write: async (book) => {
      await book.enrol("apr_ada");
      const { facts } = book.entries.at(-1)!.entry;
      await book.write("device.enrolled", { approver: "apr_eve", facts });
    },
  },
  removedByOwner: {
    title: "rejects the removal of a device of another approver",
    message: /^the device [\w-]+ was removed, but does not belong to this approver$/,
    write: async (book) => {
      const { passkey } = await book.enrol("apr_ada");
      await book.write("device.removed", { approver: "apr_eve", facts: { credential: passkey.id } });
    },
  },
  currentName: {
    title: "rejects an entry of version 2 with a former name of its event",
    message: /^latch\.reopened is the name of an event in entries of version 1; this one has version 2$/,
    write: (book) => book.write("latch.reopened", { actor: { type: "admin", via: "cli" }, agent: "agent-1" }),
  },
  actorIsAllowed: {
    title: "rejects the release of a denial by an agent",
    message: /^denial\.released was caused by the actor type agent, which cannot cause it$/,
    write: (book) =>
      book.write("denial.released", {
        actor: { type: "agent", id: "agent-1", via: "oauth" },
        agent: "agent-1",
      }),
  },
  actorIsNamed: {
    title: "rejects an approval whose actor is not its approver",
    message: /^request\.approved was caused by approver apr_bob, and names another approver or none$/,
    write: async (book) => {
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

/** Returns the problems of a log with these entries, and the index of the last one. */
async function problemsOf(write: (book: TestLog) => Promise<unknown>) {
  const book = createTestLog();
  const last = await write(book);
  const entries = [...book.entries];
  if (typeof last === "object" && last !== null && "entry" in last && !entries.includes(last as never))
    entries.push(last as never); // an entry that a store rejects
  const verified = await verifyLog(await tamper(book, entries));
  await book.close();
  return { problems: "problems" in verified ? verified.problems : [], last: entries.length - 1 };
}

describe("entry checks", () => {
  for (const { title, message, write } of Object.values(counterexamples)) {
    test(title, async () => {
      const { problems, last } = await problemsOf(write);
      assert.deepEqual(
        problems.map(({ index }) => index),
        [last],
        JSON.stringify(problems),
      );
      assert.match(problems[0]!.message, message);
    });
  }

  /** Further logs that the same checks reject, by their last entry. */
  const alsoRefused: {
    readonly [lastEntry: string]: readonly [RegExp, (book: TestLog) => Promise<unknown>];
  } = {
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

  for (const [lastEntry, [message, write]] of Object.entries(alsoRefused)) {
    test(`rejects ${lastEntry}`, async () => {
      const { problems, last } = await problemsOf(write);
      assert.deepEqual(
        problems.map(({ index }) => index),
        [last],
        JSON.stringify(problems),
      );
      assert.match(problems[0]!.message, message);
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
