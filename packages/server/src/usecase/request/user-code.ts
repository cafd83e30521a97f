/**
 * User codes (CIBA §7.1): an agent that is registered for them can notify an approver who has one only with the code. The
 * operator sets it; it is stored as a salted scrypt hash. Attempts are rate limited: a wrong code is counted before the
 * response, and a right one guards the count that was read, so that concurrent attempts cannot exceed the limit.
 */
import { randomBytes, randomInt, scrypt, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { operator } from "../../audit/actor.ts";
import { newEntry } from "../../audit/new-entry.ts";
import type { Policy } from "../../config/sections.ts";
import type { Directory } from "../../directory/directory.ts";
import type { Agent } from "../../domain/client/client.ts";
import type { Approver } from "../../domain/people/approver.ts";
import type { UserCodeAttempts } from "../../store/record/people.ts";
import { absent, type Store, type Write } from "../../store/store.ts";

export type UserCodeRefusal = "missing_user_code" | "invalid_user_code" | "invalid_request" | "access_denied";

/** `writes` belong into the commit of the request: it conflicts if another attempt was made meanwhile. */
export type UserCodeCheck = { readonly writes: readonly Write<"user_code_attempts">[] };
export type UserCodeRefused = { readonly refused: UserCodeRefusal; readonly why: string };

/** Wrong codes for one approver, from all agents together. Further codes are refused for the rest of the window. */
const maxWrongAttempts = 5;
export const attemptWindowMs = 15 * 60_000;

const deriveKey = promisify<string, Buffer, number, Buffer>(scrypt);
const hashBytes = 32;

/** Checks whether these approvers may be notified with this code, or without one. */
export async function checkUserCode(
  { store, policy }: { readonly store: Store; readonly policy: Pick<Policy, "userCodes"> },
  agent: Agent,
  approvers: readonly Approver[],
  code: string | undefined,
): Promise<UserCodeCheck | UserCodeRefused> {
  if (!policy.userCodes || !agent.userCode)
    return code === undefined
      ? { writes: [] }
      : { refused: "invalid_request", why: "this agent is not registered to send a user_code" };
  const [approver, ...others] = approvers;
  if (code === undefined)
    return approvers.some(({ userCode }) => userCode !== undefined)
      ? { refused: "missing_user_code", why: "user_code is required for this approver" }
      : { writes: [] };
  if (!approver || others.length > 0)
    return {
      refused: "invalid_request",
      why: "user_code needs a hint that identifies one approver",
    };
  if (!approver.userCode)
    return { refused: "invalid_user_code", why: "this approver has no user code: send none" };
  const { userCode } = approver;
  return await runSerially(() => verifyCode(store, approver.id, userCode, code));
}

/** Hashing takes a thread for tens of milliseconds: run one at a time, so that none is computed after five wrong codes. */
function runSerially<T>(work: () => Promise<T>): Promise<T> {
  const result = queue.then(work);
  queue = result.catch(() => {});
  return result;
}
let queue: Promise<unknown> = Promise.resolve();

/** Verifies the code. A wrong one is counted, durably, before this returns. */
async function verifyCode(
  store: Store,
  approver: string,
  userCode: NonNullable<Approver["userCode"]>,
  code: string,
): Promise<UserCodeCheck | UserCodeRefused> {
  if ((await readAttempts(store, approver)).wrong >= maxWrongAttempts) return tooManyAttempts;
  const isRight = await matchesHash(userCode, code);
  for (;;) {
    const { wrong, expiresAt, ifVersion } = await readAttempts(store, approver);
    if (wrong >= maxWrongAttempts) return tooManyAttempts;
    if (isRight) return { writes: [{ check: "user_code_attempts", id: approver, ifVersion }] };
    const record: UserCodeAttempts = { id: approver, wrong: wrong + 1, expiresAt };
    if (
      (await store.commitUnlogged({ writes: [{ put: "user_code_attempts", record, ifVersion }] })) ===
      "committed"
    )
      return { refused: "invalid_user_code", why: "wrong user code for this approver" };
  }
}

const tooManyAttempts: UserCodeRefused = {
  refused: "access_denied",
  why: "too many wrong user codes for this approver; try again later",
};

/** Returns the attempts of the current window; a new window if the last one ended. */
async function readAttempts(store: Store, approver: string) {
  const now = store.now();
  const found = await store.read("user_code_attempts", approver);
  const ifVersion = found?.version ?? absent;
  const { wrong, expiresAt } =
    found && now < found.record.expiresAt ? found.record : { wrong: 0, expiresAt: now + attemptWindowMs };
  return { wrong, expiresAt, ifVersion };
}

async function matchesHash(
  { salt, hash }: NonNullable<Approver["userCode"]>,
  code: string,
): Promise<boolean> {
  const derived = await deriveKey(code, Buffer.from(salt, "base64url"), hashBytes);
  return timingSafeEqual(derived, Buffer.from(hash, "base64url"));
}

/** Generates a user code of eight digits. */
export function generateUserCode(): string {
  return String(randomInt(10 ** 8)).padStart(8, "0");
}

/** Sets an approver's user code, or removes it, and resets the count of wrong attempts. */
export async function setUserCode(
  { store, directory }: { readonly store: Store; readonly directory: Directory },
  email: string,
  code: string | undefined,
): Promise<"done" | { readonly refused: "unknown" }> {
  const salt = randomBytes(16);
  const userCode = code !== undefined && {
    salt: salt.toString("base64url"),
    hash: (await deriveKey(code, salt, hashBytes)).toString("base64url"),
  };
  for (;;) {
    const found = await directory.findByEmail(email);
    if (!found) return { refused: "unknown" };
    const { userCode: _previous, ...approver } = found.record;
    const { id } = approver;
    const attempts = await store.read("user_code_attempts", id);
    const outcome = await store.commit({
      writes: [
        { put: "approver", record: { ...approver, ...(userCode && { userCode }) }, ifVersion: found.version },
        ...(attempts ? [{ delete: "user_code_attempts", id, ifVersion: attempts.version } as const] : []),
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
