import { createMac } from "../crypto/root-key.ts";
import { type BrowserSessions, createBrowserSessions } from "../http/page/session.ts";
import type { ServerDeps } from "./server-deps.ts";

/** Returns the sessions of the approver pages. They have no state but the store and a key. */
export function createSessions({
  store,
  directory,
  settings,
  rootKey,
  minFormAgeMs,
}: ServerDeps): BrowserSessions {
  return createBrowserSessions({
    store,
    directory,
    issuer: settings.issuer,
    origin: settings.passkeys.origin,
    csrf: createMac(rootKey, "csrf"),
    minFormAgeMs,
  });
}
