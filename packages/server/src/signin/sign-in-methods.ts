import { createPasskeySignIn, type PasskeySignInDeps } from "./passkey/passkey-sign-in.ts";
import type { SignInMethod } from "./sign-in-method.ts";

export type SignInMethodsDeps = PasskeySignInDeps;

/** Creates the registered methods, in the order of the sign-in page. The first is the default of `POST /sign-in`. */
export function createSignInMethods(deps: SignInMethodsDeps): readonly [SignInMethod, ...SignInMethod[]] {
  return [createPasskeySignIn(deps)];
}
