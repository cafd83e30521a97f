/**
 * The kinds of values that sections are made of. The first line of an error message is the problem, the second the remedy.
 */
import { z } from "zod";

/** An object with these keys and no others. */
export function defineObject<S extends z.core.$ZodLooseShape>(shape: S) {
  return z.strictObject(shape, {
    // Passes the known keys to `validate`, which suggests a spelling.
    error: (issue) => (issue.code === "unrecognized_keys" ? Object.keys(shape).join(" ") : undefined),
  });
}

export function defineText(pattern: RegExp, what: string, remedy: string) {
  return z.string().regex(pattern, `this is not ${what}\n${remedy}`);
}

export function defineInteger(min: number, max: number, what: string) {
  const message = `this is not ${what}\nuse a whole number from ${min} to ${max}`;
  return z.int(message).min(min, message).max(max, message);
}

/** Pattern of e-mail addresses, also used by the CLI. */
export const emailPattern = /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/;
/** Pattern of names that an operator chooses, also used by the CLI. */
export const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export const name = defineText(
  namePattern,
  "a name",
  "use letters, digits, dots, underscores and hyphens, 64 at most",
);
export const email = defineText(emailPattern, "an e-mail address", "write it as name@example.com");
export const file = defineText(/^[^\0]+$/, "a file", "write a path, relative to this file or absolute");
export const flag = z.boolean("this is neither true nor false\nwrite true or false");
export const port = defineInteger(0, 65_535, "a port");
export const host = z
  .string()
  .min(1, "this is empty\nwrite an address, such as 127.0.0.1")
  .default("127.0.0.1");
