/** Signing in with a passkey, and out. */
import { type Assertion, parsePasskeyResponse } from "../../../crypto/passkey.ts";
import { renderSignInPage } from "../../../page/sign-in.ts";
import { openSignIn, type SignInDeps, signIn, signOut } from "../../../usecase/people/sign-in.ts";
import type { Form } from "../../oauth/form.ts";
import type { FormHandler, PageHandler, SessionFormHandler } from "../../route.ts";
import type { PageResult } from "../page-result.ts";
import type { SafeReturnTo } from "../return-to.ts";
import type { BrowserSessions, Viewer } from "../session.ts";

export type SignInPageDeps = SignInDeps & {
  readonly sessions: BrowserSessions;
  readonly safeReturnTo: SafeReturnTo;
};

export function createSignInHandlers(deps: SignInPageDeps): {
  readonly show: PageHandler;
  readonly finish: FormHandler;
  readonly signOut: SessionFormHandler;
} {
  return {
    show: (_, __, request) => showSignIn(deps, request),
    finish: (form) => finishSignIn(deps, form),
    signOut: (viewer) => finishSignOut(deps, viewer),
  };
}

async function showSignIn(deps: SignInPageDeps, request: Request): Promise<PageResult> {
  return await askForPasskey(deps, deps.safeReturnTo(new URL(request.url).searchParams.get("next")));
}

async function finishSignIn(deps: SignInPageDeps, form: Form): Promise<PageResult> {
  const next = deps.safeReturnTo(form.get("next"));
  const assertion = parsePasskeyResponse<Assertion>(form.get("assertion"));
  const result = assertion && (await signIn(deps, { ceremony: form.get("ceremony") ?? "", assertion }));
  if (result && !("refused" in result)) return { redirect: next, cookie: deps.sessions.createCookie(result) };
  return await askForPasskey(
    deps,
    next,
    "This passkey is not known here, or its answer came too late. Please try again.",
  );
}

async function finishSignOut(deps: SignInPageDeps, { session }: Viewer): Promise<PageResult> {
  await signOut(deps.store, session);
  return { message: "signed_out", status: 200, cookie: deps.sessions.clearedCookie };
}

async function askForPasskey(deps: SignInPageDeps, next: string, problem?: string): Promise<PageResult> {
  const { ceremony, options } = await openSignIn(deps);
  const page = renderSignInPage({ ceremony: { token: ceremony, options }, next, problem });
  return { page, status: problem === undefined ? 200 : 409 };
}
