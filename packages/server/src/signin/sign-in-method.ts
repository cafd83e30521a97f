/**
 * A way for approvers to sign in. A method authenticates a person; it neither starts the session (`usecase/people/session.ts`)
 * nor decides what the person may do. The sign-in page shows the forms of all registered methods (`sign-in-methods.ts`), and
 * `POST /sign-in` calls the method that the form names.
 */
import type { JsonObject } from "@countersign/protocol";
import type { SignInForm } from "../page/sign-in.ts";
import type { Write } from "../store/store.ts";
import type { Authentication } from "../usecase/people/session.ts";

export type SignInMethod = {
  /** Unique and stable: recorded in sessions, and the value of the form field `method`. */
  readonly name: string;
  /** Begins a ceremony. Writes nothing: the page that shows the form is a GET. */
  readonly begin: () => Promise<SignInForm>;
  /** Verifies the fields of the submitted form. */
  readonly finish: (fields: ReadonlyMap<string, string>) => Promise<VerifiedSignIn | SignInRefused>;
  /** Shown above the form after a failed attempt. */
  readonly failureText: string;
};

export type VerifiedSignIn = {
  readonly authentication: Authentication;
  /** Use up the proof, in the commit that starts the session. */
  readonly writes: readonly Write[];
  /** Facts of the log entry `approver.signed_in`. */
  readonly facts: JsonObject;
};

/** `rejected`: the proof is invalid, expired, or not of an active approver. The page does not tell which. */
export type SignInRefused = { readonly refused: "rejected" };
