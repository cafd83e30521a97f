/**
 * The approver's browser session: a cookie and its CSRF token. A cookie alone authorizes no write: every POST also needs this
 * server's `Origin` and, once signed in, the CSRF token.
 */
import type { Mac } from "../../crypto/root-key.ts";
import type { Directory } from "../../directory/directory.ts";
import type { Approver, Session } from "../../domain/people/approver.ts";
import type { Store } from "../../store/store.ts";
import { readSession, type SignedIn, sessionMs } from "../../usecase/people/session.ts";
import type { ProtocolRequest } from "../transport/protocol-request.ts";

export type Viewer = { readonly session: Session; readonly approver: Approver; readonly csrf: string };

export type BrowserSessions = {
  /** Returns the signed-in approver, or undefined. */
  readonly readViewer: (request: Pick<ProtocolRequest, "header">) => Promise<Viewer | undefined>;
  /** The `Set-Cookie` value of a new session. */
  readonly createCookie: (signedIn: SignedIn) => string;
  /** The `Set-Cookie` value that deletes the session cookie. */
  readonly clearedCookie: string;
  /** Returns true if the `Origin` header is this server's. Browsers send it with every POST. */
  readonly hasSameOrigin: (request: Pick<ProtocolRequest, "header">) => boolean;
  /** Returns true if the token belongs to the viewer's session. Constant time. */
  readonly isCsrfTokenValid: (viewer: Viewer, token: string | undefined) => boolean;
};

export type BrowserSessionsDeps = {
  readonly store: Store;
  readonly directory: Directory;
  readonly issuer: string;
  /** The origin of the approver's pages. */
  readonly origin: string;
  readonly csrf: Mac;
};

export function createBrowserSessions({
  store,
  directory,
  issuer,
  origin,
  csrf,
}: BrowserSessionsDeps): BrowserSessions {
  const isHttps = issuer.startsWith("https:");
  // The `__Host-` prefix needs HTTPS; a loopback issuer for development uses the plain name.
  const cookieName = isHttps ? "__Host-countersign" : "countersign";
  const cookiePattern = new RegExp(`(?:^|;\\s*)${cookieName}=([A-Za-z0-9_-]{43})(?:;|$)`);
  // `SameSite=Lax`: a link in a mail opens the card; a form on another site sends no cookie.
  const setCookie = (value: string, maxAgeSeconds: number) =>
    `${cookieName}=${value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${maxAgeSeconds}${isHttps ? "; Secure" : ""}`;
  return {
    readViewer: async (request) => {
      const secret = cookiePattern.exec(request.header("cookie") ?? "")?.[1];
      const found = secret === undefined ? undefined : await readSession({ store, directory }, secret);
      return found && { ...found, csrf: csrf.make(found.session.id) };
    },
    createCookie: ({ secret }) => setCookie(secret, sessionMs / 1000),
    clearedCookie: setCookie("", 0),
    hasSameOrigin: (request) => request.header("origin") === origin,
    isCsrfTokenValid: (viewer, token) => token !== undefined && csrf.check(token, viewer.session.id),
  };
}
