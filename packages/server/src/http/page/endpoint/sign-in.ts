/** The sign-in page and its form, for all registered sign-in methods, and sign-out. */
import { renderSignInPage } from "../../../page/sign-in.ts";
import type { SignInMethod } from "../../../signin/sign-in-method.ts";
import type { Store } from "../../../store/store.ts";
import { signOut, startSession } from "../../../usecase/people/session.ts";
import type { Form } from "../../oauth/form.ts";
import type { FormHandler, PageHandler, SessionFormHandler } from "../../route.ts";
import type { PageResult } from "../page-result.ts";
import type { SafeReturnTo } from "../return-to.ts";
import type { BrowserSessions, Viewer } from "../session.ts";

export type SignInPageDeps = {
  readonly store: Store;
  /** The first is the default: its form has no field `method`. */
  readonly signInMethods: readonly [SignInMethod, ...SignInMethod[]];
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
  return await showForms(deps, deps.safeReturnTo(new URL(request.url).searchParams.get("next")));
}

async function finishSignIn(deps: SignInPageDeps, form: Form): Promise<PageResult> {
  const next = deps.safeReturnTo(form.get("next"));
  const name = form.get("method") ?? deps.signInMethods[0].name;
  const method = deps.signInMethods.find((registered) => registered.name === name);
  if (!method) return { message: "form_expired", status: 400 };
  const verified = await method.finish(form);
  if ("refused" in verified) return await showForms(deps, next, method);
  const signedIn = await startSession(deps.store, verified.authentication, verified);
  if (signedIn === "conflict") return await showForms(deps, next, method);
  return { redirect: next, cookie: deps.sessions.createCookie(signedIn) };
}

async function finishSignOut(deps: SignInPageDeps, { session }: Viewer): Promise<PageResult> {
  await signOut(deps.store, session);
  return { message: "signed_out", status: 200, cookie: deps.sessions.clearedCookie };
}

/** Renders the page, with the failure text of the method that failed, if any. */
async function showForms(deps: SignInPageDeps, next: string, failed?: SignInMethod): Promise<PageResult> {
  const forms = [];
  for (const [i, method] of deps.signInMethods.entries())
    forms.push({
      ...(await method.begin()),
      method: i === 0 ? undefined : method.name,
      problem: method === failed ? method.failureText : undefined,
    });
  return { page: renderSignInPage({ forms, next }), status: failed ? 409 : 200 };
}
