/**
 * A fault in words that can be shown to anybody who runs servers. Errors carry more than they say: a driver's the values of
 * a statement, an HTTP client's the headers that it sent, a parser's a piece of what it read. So only these members leave:
 * its class, its codes, its message without anything that looks like a value, and where it happened.
 */

export type FaultText = {
  readonly type: string;
  readonly message: string;
  readonly code?: string | number;
  /** Where it happened, as `Error.stack` has it, without the message. */
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

/** The same for a terminal: a line for each, and below it where it happened. */
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

/** Of several errors at once, as a connection to a name with several addresses has them, one will do. */
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

/** What a JSON parser says quotes what it could not read; so does the database, where a value did not fit (SQLSTATE 22, 23). */
function toSafeMessage(fault: Error, code: string | number | undefined): string {
  if (fault instanceof SyntaxError) return "not shown: it quotes what was read";
  const message =
    typeof code === "string" && /^2[23][0-9A-Z]{3}$/.test(code) ? redactQuotes(fault.message) : fault.message;
  return redactMessage(message);
}

function parseFrames(stack: string | undefined): string[] {
  return (
    (stack ?? "")
      .split("\n")
      // A module may have come as a URL that is its whole text.
      .map((line) => line.trim().replace(/\bdata:.*(:\d+:\d+\)?)$/, "data:$1"))
      .filter((line) => /^at .+:\d+:\d+\)?$/.test(line) || /^at .*node:internal/.test(line))
  );
}

function redactQuotes(message: string): string {
  return message.replaceAll(/".*"/gs, '"…"');
}

/**
 * A message without what may be somebody's: the query and the account of a URL, e-mail addresses, tokens and hashes, and
 * quotations that are more than one word. Ids of ours stay; of an `auth_req_id`, the part that proves nothing.
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

/** Words and names of files are left alone: they have no digits among letters of both cases. */
function redactOpaque(run: string): string {
  const id = idPattern.exec(run)?.[1];
  if (id !== undefined) return id;
  const mixed = /[A-Z]/.test(run) && /[a-z]/.test(run) && /[0-9]/.test(run);
  return mixed || /^[0-9a-f]{32,}$/i.test(run) ? "[…]" : run;
}
