/** Signing in with a passkey, and out. */
import { type Assertion, parseAnswer } from "../../approver/passkey.ts";
import { openSignIn, signIn, signOut } from "../../operations/sign-in.ts";
import { signInPage } from "../../pages/sign-in.ts";
import type { Form } from "../form.ts";
import type { HttpGround } from "../ground.ts";
import type { PageAnswer } from "../page-answer.ts";
import { clearedCookie, sessionCookie, type Visitor } from "../session.ts";

export async function showSignIn(ground: HttpGround, request: Request): Promise<PageAnswer> {
  return await askForPasskey(ground, onward(new URL(request.url).searchParams.get("next")));
}

export async function finishSignIn(ground: HttpGround, form: Form): Promise<PageAnswer> {
  const next = onward(form.get("next") ?? null);
  const assertion = parseAnswer<Assertion>(form.get("assertion"));
  const answer = assertion && (await signIn(ground, { ceremony: form.get("ceremony") ?? "", assertion }));
  if (answer && !("refused" in answer)) return { go: next, cookie: sessionCookie(ground, answer) };
  return await askForPasskey(
    ground,
    next,
    "This passkey is not known here, or its answer came too late. Please try again.",
  );
}

export async function finishSignOut(ground: HttpGround, { session }: Visitor): Promise<PageAnswer> {
  await signOut(ground.store, session);
  return { say: "signed_out", status: 200, cookie: clearedCookie(ground) };
}

async function askForPasskey(ground: HttpGround, next: string, problem?: string): Promise<PageAnswer> {
  const { ceremony, options } = await openSignIn(ground);
  const page = signInPage({ ceremony: { token: ceremony, options }, next, problem });
  return { page, status: problem === undefined ? 200 : 409 };
}

/** Only a path of ours: anything else could lead a person who has just signed in somewhere else. */
function onward(next: string | null): string {
  return next !== null && /^\/(inbox|devices|requests\/[a-z0-9_]+(\?via=[a-z]{1,20})?)$/.test(next)
    ? next
    : "/inbox";
}
