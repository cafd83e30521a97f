/**
 * The API's SDK. The API derives the action of a call, built from the parameters that the call will use. The verifier
 * validates the token against it (signature, issuer, audience, expiry, action digest), reserves the token at the
 * authorization server, runs the call and reports the result. Middleware for Hono, Express, Fastify and Fetch-style
 * servers is included. It never runs a call without a valid token, never reads the action from the token, and keeps no
 * state: the server enforces single use.
 */

import { InvalidArgumentError, machineClock } from "@countersign/protocol/client";
import type { Authorization } from "./call.ts";
import {
  type Action,
  type Checked,
  createTokenChecker,
  type DerivedAction,
  type DerivedActions,
} from "./check.ts";
import type { Clock } from "./clock.ts";
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
} from "@countersign/protocol/client";
export type { Authorization, Call, ClientCertificate } from "./call.ts";
export type { Action, Checked, DerivedAction, DerivedActions } from "./check.ts";
export type { Clock } from "./clock.ts";
export type { Problem } from "./problem.ts";
export type { Rejection, RejectionReason } from "./rejection.ts";
export type { Reservation, Spent } from "./spend.ts";

/** Options of `createVerifier`. */
export type VerifierOptions = {
  /** The authorization server's issuer URL. */
  readonly issuer: string;
  /** The required `aud` of tokens: the API's audience in the server's configuration. */
  readonly audience: string;
  /** The API's client id, as printed by `countersign api add`. These credentials spend tokens and grant nothing. */
  readonly clientId: string;
  readonly clientSecret: string;
  /**
   * Hashes of action type definitions by type name. A token approved under another definition is rejected with
   * `type_changed`. Types without an entry are not compared.
   */
  readonly pinnedTypes?: { readonly [type: string]: string };
  /**
   * The URL under which callers reach this API, such as `https://payments.example` or `https://example.com/payments`. DPoP
   * proofs are compared with it and the path of the call. Default: the URL of the call itself, including `Host`; behind a
   * proxy that differs from the caller's URL, and every proof is rejected.
   */
  readonly baseUrl?: string;
  /** Requires a nonce in DPoP proofs (RFC 9449 §9), at the cost of one more call. Default: false. */
  readonly requireProofNonce?: boolean;
  /** Tolerated difference between this machine's clock and the server's, in seconds. Default: 5. */
  readonly clockToleranceSeconds?: number;
  /** Called for problems that no call rejects with, such as keys that cannot be fetched. Default: a process warning. */
  readonly onProblem?: (problem: Problem) => void;
  /** Replaces the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** Allows `http:` URLs beyond this machine: for closed networks only. Default: false. */
  readonly allowHttp?: boolean;
  /** Replaces the machine's clock: for tests. */
  readonly clock?: Clock;
};

/** Validates and spends tokens for one API. Create it with `createVerifier`. */
export interface Verifier {
  /**
   * Validates and reserves the token, runs the call, and reports the result. If `run` throws, the spend is reported as
   * failed. The token is used in both cases. If the process ends in between, the token stays reserved, and nothing runs a
   * second time. If the result cannot be reported, it is still returned; reporting is retried in the background.
   *
   * @param authorization - The call (a Fetch `Request` is one), its `Authorization` header, or a token. Bound tokens need
   * the whole call.
   * @param action - The action of the call, or a function that builds it, called only for a valid token. For several
   * actions approved as one: the list, in the order of the request.
   * @param run - Called at most once, with the claims of the token.
   * @returns `done` with the result of `run`, or a rejection with the response to send.
   * @throws {CountersignError} `ERR_AUTHENTICATION`: the server rejects the API's credentials. `ERR_RESPONSE`: the spend
   * endpoint returned an unexpected response. `ERR_GRANT_MISMATCH`: it reserved something else. `run` was not called.
   * Errors of `action` and `run` are thrown unchanged.
   * @example
   * const answer = await verifier.spend(request, { type: "refund", order, amount }, async ({ jti }) => {
   *   return payments.refund(order, amount, { idempotencyKey: jti });
   * });
   * if (answer.outcome === "rejected") return Response.json(answer.body, answer);
   */
  spend<R, S extends DerivedActions = Action>(
    authorization: Authorization,
    action: DerivedAction<S>,
    run: (spent: Spent<S>) => R | Promise<R>,
  ): Promise<{ readonly outcome: "done"; readonly result: R; readonly spent: Spent<S> } | Rejection>;

  /**
   * Validates the token against the call without spending it. The same token passes again, also after it was spent: use
   * it before expensive preparations, never instead of `spend`.
   *
   * @param authorization - As for `spend`.
   * @param action - As for `spend`.
   * @returns The claims of the token, or a rejection with the response to send.
   * @throws Only errors of `action`, unchanged. An unreachable server is the rejection `unavailable`.
   * @example
   * const checked = await verifier.check(request, { type: "refund", order, amount });
   * if (checked.outcome === "rejected") return Response.json(checked.body, checked);
   */
  check<S extends DerivedActions = Action>(
    authorization: Authorization,
    action: DerivedAction<S>,
  ): Promise<Checked<S> | Rejection>;

  /**
   * Validates and reserves the token, for custom middleware. End the reservation with `complete` or `fail`; the server
   * records a reservation without an end as unknown.
   *
   * @param authorization - As for `spend`.
   * @param action - As for `spend`.
   * @returns The reservation, or a rejection with the response to send.
   * @throws {CountersignError} `ERR_AUTHENTICATION`, `ERR_RESPONSE`, `ERR_GRANT_MISMATCH`: as for `spend`.
   * @example
   * const reservation = await verifier.reserve(request, { type: "refund", order, amount });
   * if (reservation.outcome === "reserved") await reservation.complete();
   */
  reserve<S extends DerivedActions = Action>(
    authorization: Authorization,
    action: DerivedAction<S>,
  ): Promise<Reservation<S> | Rejection>;

  /**
   * Waits until no result is being reported in the background. Call it before the process ends.
   *
   * @returns A promise that never rejects.
   * @example
   * await verifier.settled();
   */
  settled(): Promise<void>;
}

/**
 * Creates the verifier of one API. Sends no request; metadata and keys are fetched when first needed, and cached.
 *
 * @param options - `issuer`, `audience`, `clientId` and `clientSecret` are required.
 * @returns The verifier.
 * @throws {CountersignError} `ERR_INVALID_ARGUMENT`: a required option is missing, the issuer is not an https: URL, or
 * `baseUrl` is invalid.
 * @example
 * const verifier = createVerifier({
 *   issuer: "https://countersign.example",
 *   audience: "https://payments.example",
 *   clientId: process.env.COUNTERSIGN_CLIENT_ID!,
 *   clientSecret: process.env.COUNTERSIGN_CLIENT_SECRET!,
 * });
 */
export function createVerifier(options: VerifierOptions): Verifier {
  const { fetch: ownFetch, clock = machineClock, onProblem = warn } = options;
  for (const name of ["audience", "clientId", "clientSecret"] as const)
    if (!options[name]) throw new InvalidArgumentError(`${name} is missing`);
  const report = (problem: Problem) => {
    try {
      onProblem(problem);
    } catch {
      // An error of `onProblem` must not fail the call.
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

function warn({ during, error, abandoned }: Problem): void {
  process.emitWarning(`countersign ${during}: ${error.message}${abandoned ? " (abandoned)" : ""}`);
}
