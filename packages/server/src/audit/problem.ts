/** What does not hold, said for people. Nothing here assumes that what it quotes is well meant. */

export type AuditProblem = {
  /** The entry it is about, where it is about one. */
  readonly index?: number;
  readonly message: string;
};
export type AuditProblems = { readonly problems: readonly AuditProblem[] };

/** Looking stops after so many: one lost line can make nonsense of all that follow it. */
export const maxProblems = 100;

/** Quotes a text out of a log. An id stays as it is; all else is quoted, in printable ASCII and not at length. */
export function quote(text: string): string {
  if (/^[\w.:@/-]{1,80}$/.test(text)) return text;
  return JSON.stringify(text.slice(0, 80)).replace(/[^\x20-\x7e]/g, escapeUnit);
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
