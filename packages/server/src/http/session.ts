/**
 * The approver's browser: which session a cookie stands for, and whether a form was sent from a page of ours. A cookie
 * alone never writes anything: every POST also needs an origin that is ours and, once signed in, the session's stamp.
 */
import type { Approver, Session } from "../approver/approver.ts";
import { readSession, type SignedIn, sessionMs } from "../operations/sign-in.ts";
import type { Call } from "./call.ts";
import type { HttpGround } from "./ground.ts";

export type Visitor = { readonly session: Session; readonly approver: Approver; readonly csrf: string };

/** The `__Host-` prefix needs HTTPS; on a loopback issuer for development the plain name has to do. */
function cookieName(issuer: string): string {
  return issuer.startsWith("https:") ? "__Host-countersign" : "countersign";
}

export async function readVisitor(
  ground: HttpGround,
  call: Pick<Call, "header">,
): Promise<Visitor | undefined> {
  const name = cookieName(ground.config.issuer);
  const secret = new RegExp(`(?:^|;\\s*)${name}=([A-Za-z0-9_-]{43})(?:;|$)`).exec(
    call.header("cookie") ?? "",
  )?.[1];
  const found = secret === undefined ? undefined : await readSession(ground.store, secret);
  return found && { ...found, csrf: ground.csrf.make(found.session.id) };
}

/** `SameSite=Lax`: a link in a mail opens the card, and a form on another site sends no cookie. */
export function sessionCookie(ground: HttpGround, signedIn: SignedIn): string {
  return cookie(ground, signedIn.secret, sessionMs / 1000);
}

export function clearedCookie(ground: HttpGround): string {
  return cookie(ground, "", 0);
}

function cookie({ config }: HttpGround, value: string, maxAgeSeconds: number): string {
  const secure = config.issuer.startsWith("https:") ? "; Secure" : "";
  return `${cookieName(config.issuer)}=${value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${maxAgeSeconds}${secure}`;
}

/** True if the browser says that this request comes from a page of ours. Browsers send `Origin` with every POST. */
export function fromOurPage({ party }: HttpGround, call: Call): boolean {
  return call.header("origin") === party.origin;
}

export function csrfHolds(ground: HttpGround, visitor: Visitor, stamp: string | undefined): boolean {
  return stamp !== undefined && ground.csrf.check(stamp, visitor.session.id);
}
