/** Checks of URLs. */
import type { Problem } from "./problem.ts";

/** Checks a URL that this server is reached at. `label` names it in problems. */
export function findUrlProblem(text: string, label: string): Pick<Problem, "message" | "remedy"> | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || (url.protocol !== "https:" && url.protocol !== "http:"))
    return {
      message: `the ${label} is not a URL`,
      remedy: "write the URL that clients use, such as https://countersign.example",
    };
  if (/[?#]/.test(text) || url.username !== "" || url.password !== "")
    return { message: `the ${label} has a query, a fragment or credentials`, remedy: "remove them" };
  const exact = url.href.replace(/\/$/, "");
  if (text !== exact)
    return { message: `the ${label} is not in canonical form`, remedy: `write it as ${exact}` };
  if (url.pathname !== "/")
    return {
      message: `the ${label} has a path, but this server must be at the root of its host`,
      remedy: `use a separate host, such as ${url.origin}`,
    };
  return undefined;
}

/** Returns true if `store` is a PostgreSQL URL, false if it is a file. */
export function isPostgres(store: string): boolean {
  return /^postgres(ql)?:\/\//.test(store);
}
