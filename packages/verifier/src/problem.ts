import type { CountersignError } from "@countersign/protocol/client";

/** A problem in the background, as passed to `onProblem`. `abandoned` is false if the operation will be retried. */
export type Problem = {
  readonly during: "check" | "reserve" | "complete" | "fail";
  readonly error: CountersignError;
  readonly jti?: string;
  readonly abandoned: boolean;
};
