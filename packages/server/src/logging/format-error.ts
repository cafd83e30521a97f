/**
 * Formats errors for the process log without personal data or secrets. Errors carry the values of a statement (drivers), request
 * headers (HTTP clients) or parts of the input (parsers). Only class, codes, a redacted message and stack positions are
 * kept.
 */

export type FaultText = {
  readonly type: string;
  readonly message: string;
  readonly code?: string | number;
  /** Frames of `Error.stack`, without the message. */
  readonly at: readonly string[];
  readonly cause?: FaultText;
};

const maxDepth = 5;
const maxMessageLength = 500;

export function describeFault(fault: unknown, depth = 1): FaultText {
  if (!(fault instanceof Error)) return { type: typeof fault, message: redactMessage(String(fault)), at: [] };
  const code = findCode(fault);
  const cause = fault.cause !== undefined && depth < maxDepth ? fault.cause : findFirstError(fault);
  return {
    type: fault.constructor?.name ?? "Error",
    message: toSafeMessage(fault, code),
    ...(code !== undefined && { code }),
    at: parseFrames(fault.stack),
    ...(cause !== undefined && { cause: describeFault(cause, depth + 1) }),
  };
}

/** Formats a fault for a terminal: one line per error of the cause chain, followed by its frames. */
export function formatError(fault: FaultText): string[] {
  const { type, message, code, at, cause } = fault;
  const head = `${type}${code === undefined ? "" : ` [${code}]`}: ${message}`;
  const below = cause ? formatError(cause) : [];
  return [
    head,
    ...at.map((frame) => `    ${frame}`),
    ...below.map((line, n) => (n === 0 ? `caused by: ${line}` : line)),
  ];
}

/** Returns the first error of an AggregateError, as a connection to a name with several addresses throws. */
function findFirstError(fault: Error): unknown {
  return fault instanceof AggregateError ? fault.errors[0] : undefined;
}

function findCode(fault: Error): string | number | undefined {
  const { code, errcode, status, statusCode } = fault as unknown as { [member: string]: unknown };
  const found = [errcode, code, status, statusCode].find(
    (one) => typeof one === "number" || (typeof one === "string" && /^[A-Za-z0-9_.-]{1,60}$/.test(one)),
  );
  return found as string | number | undefined;
}

/** Removes values. A JSON parser quotes its input in its message; a database quotes values in SQLSTATE classes 22 and 23. */
function toSafeMessage(fault: Error, code: string | number | undefined): string {
  if (fault instanceof SyntaxError) return "not shown: it quotes the input";
  const message =
    typeof code === "string" && /^2[23][0-9A-Z]{3}$/.test(code) ? redactQuotes(fault.message) : fault.message;
  return redactMessage(message);
}

function parseFrames(stack: string | undefined): string[] {
  return (
    (stack ?? "")
      .split("\n")
      // A data: URL of a module contains the whole source.
      .map((line) => line.trim().replace(/\bdata:.*(:\d+:\d+\)?)$/, "data:$1"))
      .filter((line) => /^at .+:\d+:\d+\)?$/.test(line) || /^at .*node:internal/.test(line))
  );
}

function redactQuotes(message: string): string {
  return message.replaceAll(/".*"/gs, '"…"');
}

/**
 * Redacts a message: query and credentials of URLs, e-mail addresses, tokens, hashes, and quotations of more than one word.
 * Keeps ids of this server; of an `auth_req_id`, the part that is not secret.
 */
export function redactMessage(message: string): string {
  return message
    .slice(0, 4 * maxMessageLength)
    .replaceAll(/\b([a-z][a-z0-9+.-]*:\/\/)(?:[^\s/"'<>@]*@)?([^\s"'<>?#]*)(?:[?#][^\s"'<>]*)?/gi, "$1$2")
    .replaceAll(/\b(basic|bearer|dpop) +[^\s"',;]+/gi, "$1 […]")
    .replaceAll(/[^\s"'<>()[\]{},;:=/@]+@[^\s"'<>()[\]{},;:=/@]+/g, "[address]")
    .replaceAll(/[A-Za-z0-9_+=~-]{16,}(?:\.[A-Za-z0-9_+=~-]+)*/g, redactOpaque)
    .replaceAll(/"[^"]*[^\w.:/-][^"]*"/g, '"…"')
    .slice(0, maxMessageLength);
}

const idPattern = /^((?:[a-z]{2,12})_[0-9a-hjkmnp-tv-z]{26})(?:\..+)?$/;

/** Keeps words and file names: they do not mix digits with letters of both cases. */
function redactOpaque(run: string): string {
  const id = idPattern.exec(run)?.[1];
  if (id !== undefined) return id;
  const mixed = /[A-Z]/.test(run) && /[a-z]/.test(run) && /[0-9]/.test(run);
  return mixed || /^[0-9a-f]{32,}$/i.test(run) ? "[…]" : run;
}
