/** Signing in with a passkey, and out. */
import { type Assertion, parseAnswer } from "../../../crypto/passkey.ts";
import { signInPage } from "../../../page/sign-in.ts";
import { openSignIn, signIn, signOut } from "../../../usecase/people/sign-in.ts";
import type { HttpDeps } from "../../deps.ts";
import type { Form } from "../../oauth/form.ts";
import type { PageResult } from "../page-result.ts";
import { clearedCookie, sessionCookie, type Viewer } from "../session.ts";

export async function showSignIn(deps: HttpDeps, request: Request): Promise<PageResult> {
  return await askForPasskey(deps, safeReturnTo(new URL(request.url).searchParams.get("next")));
}

export async function finishSignIn(deps: HttpDeps, form: Form): Promise<PageResult> {
  const next = safeReturnTo(form.get("next") ?? null);
  const assertion = parseAnswer<Assertion>(form.get("assertion"));
  const answer = assertion && (await signIn(deps, { ceremony: form.get("ceremony") ?? "", assertion }));
  if (answer && !("refused" in answer)) return { go: next, cookie: sessionCookie(deps, answer) };
  return await askForPasskey(
    deps,
    next,
    "This passkey is not known here, or its answer came too late. Please try again.",
  );
}

export async function finishSignOut(deps: HttpDeps, { session }: Viewer): Promise<PageResult> {
  await signOut(deps.store, session);
  return { say: "signed_out", status: 200, cookie: clearedCookie(deps) };
}

async function askForPasskey(deps: HttpDeps, next: string, problem?: string): Promise<PageResult> {
  const { ceremony, options } = await openSignIn(deps);
  const page = signInPage({ ceremony: { token: ceremony, options }, next, problem });
  return { page, status: problem === undefined ? 200 : 409 };
}

/** Only a path of ours: anything else could lead a person who has just signed in somewhere else. */
function safeReturnTo(next: string | null): string {
  return next !== null && /^\/(inbox|devices|requests\/[a-z0-9_]+(\?via=[a-z]{1,20})?)$/.test(next)
    ? next
    : "/inbox";
}
