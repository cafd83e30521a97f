/**
 * A person's user code (CIBA §7.1): without it, an agent that is registered to send one cannot disturb them. It is set by
 * the operator, kept as a salted scrypt hash, and guessed at only so often: a wrong guess is counted before it is
 * answered, and a right one is guarded by the count that was read, so that no number of guesses at once gets round it.
 */
import { randomBytes, randomInt, scrypt, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { operator } from "../../audit/actor.ts";
import { newEntry } from "../../audit/new-entry.ts";
import type { Policy } from "../../config/sections.ts";
import type { Agent } from "../../domain/client/client.ts";
import type { Approver } from "../../domain/people/approver.ts";
import type { UserCodeAttempts } from "../../store/record/people.ts";
import { absent, type Store, type Write } from "../../store/store.ts";

export type UserCodeRefusal = "missing_user_code" | "invalid_user_code" | "invalid_request" | "access_denied";

/** `writes` belong into the commit of whatever follows: nobody guessed meanwhile. */
export type UserCodeCheck = { readonly writes: readonly Write<"user_code_attempts">[] };
export type UserCodeRefused = { readonly refused: UserCodeRefusal; readonly why: string };

/** Wrong codes for one person, whoever gives them, until nobody is heard for the rest of the window. */
const maxWrongAttempts = 5;
export const attemptWindowMs = 15 * 60_000;

const stretch = promisify<string, Buffer, number, Buffer>(scrypt);
const hashBytes = 32;

/** Whether `people` may be disturbed with this code, or without one. */
export async function checkUserCode(
  { store, policy }: { readonly store: Store; readonly policy: Pick<Policy, "userCodes"> },
  agent: Agent,
  people: readonly Approver[],
  code: string | undefined,
): Promise<UserCodeCheck | UserCodeRefused> {
  if (!policy.userCodes || !agent.userCode)
    return code === undefined
      ? { writes: [] }
      : { refused: "invalid_request", why: "this agent is not registered to send a user_code" };
  const [person, ...others] = people;
  const guarded = people.some(({ userCode }) => userCode !== undefined);
  if (code === undefined)
    return guarded
      ? { refused: "missing_user_code", why: "user_code is required for this approver" }
      : { writes: [] };
  if (!person || others.length > 0)
    return {
      refused: "invalid_request",
      why: "user_code needs a hint that identifies one approver",
    };
  if (!person.userCode)
    return { refused: "invalid_user_code", why: "this approver has no user code: send none" };
  const { userCode } = person;
  return await runSerially(() => countAttempt(store, person.id, userCode, code));
}

/**
 * One code after the other: each takes a thread for tens of milliseconds, and however many come at once, after five wrong
 * ones no more are computed.
 */
function runSerially<T>(work: () => Promise<T>): Promise<T> {
  const next = turn.then(work);
  turn = next.catch(() => {});
  return next;
}
let turn: Promise<unknown> = Promise.resolve();

async function countAttempt(
  store: Store,
  approver: string,
  userCode: NonNullable<Approver["userCode"]>,
  code: string,
): Promise<UserCodeCheck | UserCodeRefused> {
  if ((await currentAttempts(store, approver)).wrong >= maxWrongAttempts) return tooMany;
  const right = await matches(userCode, code);
  for (;;) {
    const { wrong, expiresAt, ifVersion } = await currentAttempts(store, approver);
    if (wrong >= maxWrongAttempts) return tooMany;
    if (right) return { writes: [{ check: "user_code_attempts", id: approver, ifVersion }] };
    const record: UserCodeAttempts = { id: approver, wrong: wrong + 1, expiresAt };
    if (
      (await store.commitUnlogged({ writes: [{ put: "user_code_attempts", record, ifVersion }] })) ===
      "committed"
    )
      return { refused: "invalid_user_code", why: "wrong user code for this approver" };
  }
}

const tooMany: UserCodeRefused = {
  refused: "access_denied",
  why: "too many wrong user codes for this approver; try again later",
};

async function currentAttempts(store: Store, approver: string) {
  const now = store.now();
  const found = await store.read("user_code_attempts", approver);
  const ifVersion = found?.version ?? absent;
  const { wrong, expiresAt } =
    found && now < found.record.expiresAt ? found.record : { wrong: 0, expiresAt: now + attemptWindowMs };
  return { wrong, expiresAt, ifVersion };
}

async function matches({ salt, hash }: NonNullable<Approver["userCode"]>, code: string): Promise<boolean> {
  const given = await stretch(code, Buffer.from(salt, "base64url"), hashBytes);
  return timingSafeEqual(given, Buffer.from(hash, "base64url"));
}

/** A code that people can type: eight digits. */
export function generateUserCode(): string {
  return String(randomInt(10 ** 8)).padStart(8, "0");
}

/** Sets a person's code, or takes it away; what was guessed before does not count against the new one. */
export async function setUserCode(
  store: Store,
  email: string,
  code: string | undefined,
): Promise<"done" | { readonly refused: "unknown" }> {
  const salt = randomBytes(16);
  const userCode = code !== undefined && {
    salt: salt.toString("base64url"),
    hash: (await stretch(code, salt, hashBytes)).toString("base64url"),
  };
  for (;;) {
    const known = await store.findApproverByEmail(email);
    const found = known && (await store.read("approver", known.id));
    if (!found) return { refused: "unknown" };
    const { userCode: _before, ...approver } = found.record;
    const { id } = approver;
    const guessed = await store.read("user_code_attempts", id);
    const outcome = await store.commit({
      writes: [
        { put: "approver", record: { ...approver, ...(userCode && { userCode }) }, ifVersion: found.version },
        ...(guessed ? [{ delete: "user_code_attempts", id, ifVersion: guessed.version } as const] : []),
      ],
      entries: [
        newEntry("approver.user_code_set", store.now(), {
          actor: operator,
          approver: id,
          facts: { set: !!userCode },
        }),
      ],
    });
    if (outcome === "committed") return "done";
  }
}
