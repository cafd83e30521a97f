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

/** `csrf`: the token for the forms of a page that is rendered now. It contains the time, for the minimum age of a form. */
export type Viewer = { readonly session: Session; readonly approver: Approver; readonly csrf: string };

/**
 * Default of `minFormAgeMs`: a form is refused if it arrives sooner after its page was rendered. The second click of a double
 * click follows within 500 ms; a person needs longer to read. Pages wait longer than this (`ready.js`).
 */
export const minFormAgeMs = 700;

export type BrowserSessions = {
  /** Returns the signed-in approver, or undefined. */
  readonly readViewer: (request: Pick<ProtocolRequest, "header">) => Promise<Viewer | undefined>;
  /** The `Set-Cookie` value of a new session. */
  readonly createCookie: (signedIn: SignedIn) => string;
  /** The `Set-Cookie` value that deletes the session cookie. */
  readonly clearedCookie: string;
  /** Returns true if the `Origin` header is this server's. Browsers send it with every POST. */
  readonly hasSameOrigin: (request: Pick<ProtocolRequest, "header">) => boolean;
  /** Checks that the token belongs to the viewer's session, in constant time, and that its page is not too young. */
  readonly checkCsrfToken: (viewer: Viewer, token: string | undefined) => "valid" | "invalid" | "early";
};

export type BrowserSessionsDeps = {
  readonly store: Store;
  readonly directory: Directory;
  readonly issuer: string;
  /** The origin of the approver's pages. */
  readonly origin: string;
  readonly csrf: Mac;
  /** Minimum time between rendering and submitting a form, in milliseconds. Default: 700. */
  readonly minFormAgeMs?: number | undefined;
};

export function createBrowserSessions({
  store,
  directory,
  issuer,
  origin,
  csrf,
  minFormAgeMs: minAgeMs = minFormAgeMs,
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
      if (!found) return undefined;
      const renderedAt = String(store.now());
      return { ...found, csrf: `${renderedAt}.${csrf.make(found.session.id, renderedAt)}` };
    },
    createCookie: ({ secret }) => setCookie(secret, sessionMs / 1000),
    clearedCookie: setCookie("", 0),
    hasSameOrigin: (request) => request.header("origin") === origin,
    checkCsrfToken: (viewer, token = "") => {
      const [renderedAt = "", mac = ""] = token.split(/\.(.*)/s);
      if (!csrf.check(mac, viewer.session.id, renderedAt)) return "invalid";
      // A negative age: the page came from another node, whose clock is ahead.
      const age = store.now() - Number(renderedAt);
      return age >= 0 && age < minAgeMs ? "early" : "valid";
    },
  };
}
