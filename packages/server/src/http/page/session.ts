/**
 * The approver's browser: which session a cookie stands for, and whether a form was sent from a page of ours. A cookie
 * alone never writes anything: every POST also needs an origin that is ours and, once signed in, the session's stamp.
 */
import type { Approver, Session } from "../../domain/people/approver.ts";
import { readSession, type SignedIn, sessionMs } from "../../usecase/people/sign-in.ts";
import type { HttpDeps } from "../deps.ts";
import type { ProtocolRequest } from "../transport/protocol-request.ts";

export type Viewer = { readonly session: Session; readonly approver: Approver; readonly csrf: string };

/** The `__Host-` prefix needs HTTPS; on a loopback issuer for development the plain name has to do. */
function cookieName(issuer: string): string {
  return issuer.startsWith("https:") ? "__Host-countersign" : "countersign";
}

export async function readViewer(
  deps: HttpDeps,
  call: Pick<ProtocolRequest, "header">,
): Promise<Viewer | undefined> {
  const name = cookieName(deps.config.issuer);
  const secret = new RegExp(`(?:^|;\\s*)${name}=([A-Za-z0-9_-]{43})(?:;|$)`).exec(
    call.header("cookie") ?? "",
  )?.[1];
  const found = secret === undefined ? undefined : await readSession(deps.store, secret);
  return found && { ...found, csrf: deps.csrf.make(found.session.id) };
}

/** `SameSite=Lax`: a link in a mail opens the card, and a form on another site sends no cookie. */
export function sessionCookie(deps: HttpDeps, signedIn: SignedIn): string {
  return cookie(deps, signedIn.secret, sessionMs / 1000);
}

export function clearedCookie(deps: HttpDeps): string {
  return cookie(deps, "", 0);
}

function cookie({ config }: HttpDeps, value: string, maxAgeSeconds: number): string {
  const secure = config.issuer.startsWith("https:") ? "; Secure" : "";
  return `${cookieName(config.issuer)}=${value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${maxAgeSeconds}${secure}`;
}

/** True if the browser says that this request comes from a page of ours. Browsers send `Origin` with every POST. */
export function hasSameOrigin({ party }: HttpDeps, call: ProtocolRequest): boolean {
  return call.header("origin") === party.origin;
}

export function isCsrfTokenValid(deps: HttpDeps, visitor: Viewer, stamp: string | undefined): boolean {
  return stamp !== undefined && deps.csrf.check(stamp, visitor.session.id);
}
