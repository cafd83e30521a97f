/** Problems that verification finds, as text. Quoted values are untrusted. */

export type AuditProblem = {
  /** Index of the entry, if it is about one. */
  readonly index?: number;
  readonly message: string;
};
export type AuditProblems = { readonly problems: readonly AuditProblem[] };

/** Verification stops after this many: one lost line can cause a problem in every line after it. */
export const maxProblems = 100;

/** Returns an id as it is, and any other text quoted, in printable ASCII, at most 80 characters of it. */
export function quote(text: string): string {
  if (/^[\w.:@/-]{1,80}$/.test(text)) return text;
  return JSON.stringify(text.slice(0, 80)).replace(/[^\x20-\x7e]/g, escapeUnit);
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
