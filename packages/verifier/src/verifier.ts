/**
 * The SDK for the one who acts. An API that is asked to do something states the action that the call *is*, built from
 * the parameters it will really use; the verifier holds that against the token (signature, issuer, audience, expiry,
 * action digest), spends the token at the authorization server, lets the call run, and says how it ended. Middleware
 * for Hono, Express, Fastify and Fetch-style servers does it in one line. It never runs a call that it could not hold against a token, never takes
 * the action from the token instead of from the call, and keeps nothing: that a token is good once, the server sees to.
 */
import type { Authorization } from "./call.ts";
import {
  type Action,
  type Checked,
  createTokenChecker,
  type DerivedAction,
  type DerivedActions,
} from "./check.ts";
import { type Clock, machineClock } from "./clock.ts";
import { createDiscovery } from "./discovery.ts";
import type { Problem } from "./problem.ts";
import type { Rejection } from "./rejection.ts";
import { createSpender, type Reservation, type Spent } from "./spend.ts";

export {
  AuthenticationError,
  CountersignError,
  type ErrorCode,
  GrantMismatchError,
  InvalidArgumentError,
  MetadataError,
  NetworkError,
  ResponseError,
  TimeoutError,
} from "@countersign/protocol";
export type { Authorization, Call, ClientCertificate } from "./call.ts";
export type { Action, Checked, DerivedAction, DerivedActions } from "./check.ts";
export type { Clock } from "./clock.ts";
export type { Problem } from "./problem.ts";
export type { Rejection, RejectionReason } from "./rejection.ts";
export type { Reservation, Spent } from "./spend.ts";

export type VerifierOptions = {
  /** The authorization server's issuer URL. */
  readonly issuer: string;
  /** What tokens for this API have as `aud`: its audience in the server's configuration. */
  readonly audience: string;
  /**
   * The API's own credentials at the server, as `countersign api add` gave them out. They spend; they grant
   * nothing.
   */
  readonly clientId: string;
  readonly clientSecret: string;
  /**
   * Action types by name with the hash of the definition that this API was written for. A token approved under another
   * definition is refused. Types that are not named are not held to anything.
   */
  readonly pinnedTypes?: { readonly [type: string]: string };
  /**
   * Where callers reach this API, such as `https://payments.example` or `https://example.com/payments`: what DPoP proofs
   * are held against, with the path of the call after it. Without it they are held against the URL that the call itself
   * claims, `Host` header and all; behind a proxy that is not the URL that the caller used, and every proof is refused.
   */
  readonly baseUrl?: string;
  /** Whether DPoP proofs need a nonce of this API's (RFC 9449 §9), against those made in advance. Costs a further call. */
  readonly requireProofNonce?: boolean;
  /**
   * How far this machine's clock may be behind or ahead. 5 unless said otherwise; when spending, the server's
   * clock decides.
   */
  readonly clockToleranceSeconds?: number;
  /**
   * Told of what nobody waits for: an ending that could not be reported, keys that could not be fetched. A process
   * warning unless given.
   */
  readonly onProblem?: (problem: Problem) => void;
  /** Used instead of the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** Lets the issuer be `http:` beyond this machine: for closed networks only. */
  readonly allowHttp?: boolean;
  /** Used instead of the machine's clock: for tests. */
  readonly clock?: Clock;
};

export interface Verifier {
  /**
   * Runs the call under a token that is spent by it: checks, reserves, runs, completes. A call that does several things
   * which were approved as one states a list of them, in the order in which they were asked for: one token, one spend. If `run` throws, the spend is
   * reported as failed and the error thrown on; the token stays used either way. If the process dies in between, the
   * token stays reserved, and nothing runs a second time. A result is answered even if its completion could not be
   * reported; that is tried again in the background and told to `onProblem`.
   */
  spend<R, S extends DerivedActions = Action>(
    authorization: Authorization,
    action: DerivedAction<S>,
    run: (spent: Spent<S>) => R | Promise<R>,
  ): Promise<{ readonly outcome: "done"; readonly result: R; readonly spent: Spent<S> } | Rejection>;

  /**
   * Holds the token against the call, locally: nothing is spent, so that the same token passes again, and a token that
   * was already spent passes too. For a look before expensive preparations, never instead of `spend`.
   */
  check<S extends DerivedActions = Action>(
    authorization: Authorization,
    action: DerivedAction<S>,
  ): Promise<Checked<S> | Rejection>;

  /**
   * The first half of `spend`, for those who write middleware: the token is used up, and the call may run. Say how it
   * ended with `complete` or `fail`; a reservation that is never ended is written down as unknown.
   */
  reserve<S extends DerivedActions = Action>(
    authorization: Authorization,
    action: DerivedAction<S>,
  ): Promise<Reservation<S> | Rejection>;

  /** Resolves when no ending is still being reported in the background. Wait for it before the process ends. */
  settled(): Promise<void>;
}

/**
 * The verifier of one API. Metadata and keys are fetched when first needed, and kept. Throws a TypeError for an issuer
 * that is no URL, or is `http:` beyond this machine.
 */
export function createVerifier(options: VerifierOptions): Verifier {
  const { fetch: ownFetch, clock = machineClock, onProblem = warn } = options;
  const report = (problem: Problem) => {
    try {
      onProblem(problem);
    } catch {
      // Whoever is told of a problem cannot make the call fail with it.
    }
  };
  const deps = { ...options, fetch: ownFetch ?? fetch, clock, report };
  const discover = createDiscovery(deps);
  const examine = createTokenChecker(deps, discover);
  const spender = createSpender(deps, discover);

  const verifier: Verifier = {
    async check(authorization, action) {
      const examined = await examine(authorization, action);
      return "outcome" in examined ? examined : (examined.mismatch ?? examined.checked);
    },
    async reserve(authorization, action) {
      const examined = await examine(authorization, action);
      return "outcome" in examined ? examined : spender.reserve(examined);
    },
    async spend(authorization, action, run) {
      const reservation = await verifier.reserve(authorization, action);
      if (reservation.outcome === "rejected") return reservation;
      const { spent } = reservation;
      let result: Awaited<ReturnType<typeof run>>;
      try {
        result = await run(spent);
      } catch (error) {
        await reservation.fail();
        throw error;
      }
      await reservation.complete();
      return { outcome: "done", result, spent };
    },
    settled: spender.settled,
  };
  return verifier;
}

function warn({ during, error, givenUp }: Problem): void {
  process.emitWarning(`countersign ${during}: ${error.message}${givenUp ? " (given up)" : ""}`);
}
