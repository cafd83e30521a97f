import { randomBytes } from "node:crypto";
import type { SpendError, SpendOperation } from "@countersign/protocol";
import {
  AuthenticationError,
  CountersignError,
  encodeBasicAuthorization,
  GrantMismatchError,
  NetworkError,
  parseRetryAfter,
  ResponseError,
  toNetworkError,
} from "@countersign/protocol/client";
import type { Action, Checked, CheckedToken, DerivedActions } from "./check.ts";
import type { Clock } from "./clock.ts";
import type { Discover } from "./discovery.ts";
import type { Problem } from "./problem.ts";
import { createReject, type Rejection, type RejectionReason } from "./rejection.ts";

/** The claims of a reserved token. The server's audit log has the spend under `jti` and `spendId`. */
export type Spent<S extends DerivedActions = Action> = Omit<Checked<S>, "outcome"> & {
  readonly spendId: string;
};

/**
 * A reserved token. Call `complete` or `fail` once the result is known; only the first call has an effect. Neither
 * rejects: a result that cannot be reported is retried in the background.
 */
export type Reservation<S extends DerivedActions = Action> = {
  readonly outcome: "reserved";
  readonly spent: Spent<S>;
  complete(): Promise<void>;
  fail(): Promise<void>;
};

export type SpenderDeps = {
  readonly audience: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly fetch: typeof fetch;
  readonly clock: Clock;
  readonly report: (problem: Problem) => void;
};

type SpendReply = {
  readonly status: number;
  readonly retryAfterSeconds: number;
  readonly body: { readonly [member: string]: unknown };
};
type SpendFailure = { readonly failure: CountersignError; readonly retryAfterSeconds: number };
type Spend = { readonly token: string; readonly spendId: string; readonly jti: string };

const maxRequestMs = 5_000;
/** Pauses between attempts, in milliseconds: while a caller waits, and in the background. */
const reservePausesMs = [100, 500];
const reportPausesMs = [1_000, 4_000, 15_000, 60_000];

/** Maps the server's error codes to rejection reasons. */
const reasons = {
  invalid_token: "invalid_token",
  expired_token: "expired_token",
  already_spent: "already_spent",
  digest_mismatch: "digest_mismatch",
} as const satisfies Partial<Record<SpendError, RejectionReason>>;

/**
 * Creates the client of the spend endpoint. `reserve` rejects with `ERR_AUTHENTICATION`, `ERR_RESPONSE` or
 * `ERR_GRANT_MISMATCH`; network failures become the rejection `unavailable`.
 */
export function createSpender(deps: SpenderDeps, discover: Discover) {
  const { audience, clock, report } = deps;
  const reject = createReject(audience);
  const authorization = encodeBasicAuthorization(deps.clientId, deps.clientSecret);
  const background = new Set<Promise<void>>();

  /** Sends one request. 5xx and 429 can be retried with the same spend id. */
  async function post(
    operation: SpendOperation,
    { token, spendId }: Spend,
    digest?: string,
  ): Promise<SpendReply | SpendFailure> {
    try {
      const { spendEndpoint } = await discover();
      const form = { operation, token, spend_id: spendId, ...(digest && { act_digest: digest }) };
      const response = await deps.fetch(spendEndpoint, {
        method: "POST",
        headers: { accept: "application/json", authorization },
        body: new URLSearchParams(form),
        redirect: "manual",
        signal: AbortSignal.timeout(maxRequestMs),
      });
      const { status } = response;
      const text = await response.text();
      const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"), clock.now()) ?? 1_000;
      const retryAfterSeconds = Math.ceil(retryAfterMs / 1000);
      if (status >= 500 || status === 429)
        return { failure: new NetworkError(`the spend endpoint returned ${status}`), retryAfterSeconds };
      return { status, retryAfterSeconds, body: JSON.parse(text) ?? {} };
    } catch (cause) {
      return { failure: toSpendError(cause), retryAfterSeconds: 1 };
    }
  }

  async function reserve<S extends DerivedActions>({
    token,
    digest,
    checked,
    mismatch,
  }: CheckedToken<S>): Promise<Reservation<S> | Rejection> {
    const { outcome: _, ...facts } = checked;
    const spend: Spend = { token, jti: facts.jti, spendId: randomBytes(16).toString("base64url") };
    if (mismatch) {
      // The server rejects it without using the token, and its audit log shows the attempt.
      if (digest !== undefined && digest !== checked.digest) await post("reserve", spend, digest);
      return mismatch;
    }
    for (let attempt = 0; ; attempt += 1) {
      const reply = await post("reserve", spend, digest);
      if (!("failure" in reply)) return readReservation(reply, spend, facts);
      const pauseMs = reservePausesMs[attempt];
      if (pauseMs === undefined || reply.retryAfterSeconds > 1) {
        report({ during: "reserve", error: reply.failure, jti: spend.jti, abandoned: true });
        return reject("unavailable", { retryAfterSeconds: reply.retryAfterSeconds });
      }
      await clock.sleep(pauseMs);
    }
  }

  function readReservation<S extends DerivedActions>(
    { status, body }: SpendReply,
    spend: Spend,
    facts: Omit<Spent<S>, "spendId">,
  ): Reservation<S> | Rejection {
    const { error } = body;
    if (typeof error === "string" && Object.hasOwn(reasons, error))
      return reject(reasons[error as keyof typeof reasons]);
    if (status !== 200) {
      const Failure = status === 401 || status === 403 ? AuthenticationError : ResponseError;
      throw new Failure(
        `the spend endpoint does not accept this API's requests: ${status} ${typeof error === "string" ? error : ""}`,
      );
    }
    const isThisSpend =
      body.state === "reserved" && body.spend_id === spend.spendId && body.jti === spend.jti;
    if (!isThisSpend || body.act_digest !== facts.digest)
      throw new GrantMismatchError("the spend endpoint reserved another token or action");
    let ended: Promise<void> | undefined;
    const end = (operation: "complete" | "fail") => {
      ended ??= finishSpend(operation, spend);
      return ended;
    };
    return {
      outcome: "reserved",
      spent: { ...facts, spendId: spend.spendId },
      complete: () => end("complete"),
      fail: () => end("fail"),
    };
  }

  /** Resolves after the first attempt; retries run in the background. The server accepts a result after `exp`. */
  async function finishSpend(operation: "complete" | "fail", spend: Spend): Promise<void> {
    const problem = await reportOutcome(operation, spend);
    if (!problem) return;
    const retried = retryReport(operation, spend, problem).finally(() => background.delete(retried));
    background.add(retried);
  }

  async function retryReport(
    operation: "complete" | "fail",
    spend: Spend,
    first: ReportResult,
  ): Promise<void> {
    let problem: ReportResult | undefined = first;
    for (const pauseMs of reportPausesMs) {
      if (problem.lasting) break;
      report({ during: operation, error: problem.error, jti: spend.jti, abandoned: false });
      await clock.sleep(pauseMs);
      problem = await reportOutcome(operation, spend);
      if (!problem) return;
    }
    report({ during: operation, error: problem.error, jti: spend.jti, abandoned: true });
  }

  type ReportResult = { readonly error: CountersignError; readonly lasting: boolean };
  async function reportOutcome(
    operation: "complete" | "fail",
    spend: Spend,
  ): Promise<ReportResult | undefined> {
    const reply = await post(operation, spend);
    if ("failure" in reply) return { error: reply.failure, lasting: false };
    if (reply.status === 200) return undefined;
    return {
      error: new ResponseError(`the spend endpoint returned ${reply.status} ${reply.body.error ?? ""}`),
      lasting: true,
    };
  }

  return {
    reserve,
    async settled(): Promise<void> {
      while (background.size > 0) await Promise.all(background);
    },
  };
}

function toSpendError(cause: unknown): CountersignError {
  if (cause instanceof CountersignError) return cause;
  if (cause instanceof SyntaxError)
    return new ResponseError("the spend endpoint returned a body that is not JSON", { cause });
  return toNetworkError("no response from the spend endpoint", cause);
}
