/**
 * Validates the `next` parameter of sign-in against open redirects: only pages of the route table that allow it. Routes of other
 * modules are no pages.
 */
import type { Route } from "../route.ts";

export type SafeReturnTo = (next: string | null | undefined) => string;

/** Returns `next` if it is the path of a page with `returnTo`, optionally with `?via=<channel>`; "/inbox" otherwise. */
export function createSafeReturnTo(routes: readonly Route[]): SafeReturnTo {
  const paths = routes
    .filter((route) => "sessionPage" in route && route.returnTo)
    .map(({ path }) => path.replace(/:\w+/, "[a-z0-9_]+"));
  const allowed = new RegExp(`^(?:${paths.join("|")})(?:\\?via=[a-z]{1,20})?$`);
  return (next) => (next && allowed.test(next) ? next : "/inbox");
}
