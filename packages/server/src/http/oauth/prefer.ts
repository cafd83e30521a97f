/** `Prefer` (RFC 7240): how long a client would wait for an answer. Other preferences are ignored, as the RFC has it. */

import type { ProtocolRequest } from "../transport/protocol-request.ts";

/** Longer than that no proxy on the way leaves a request open. */
const longestSeconds = 30;

const waiting = /(?:^|,)\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?:[,;]|$)/i;

/** What the client asked for, as far as it is granted, and what tells that it has gone. */
export function parsePreferWait(
  call: ProtocolRequest,
): { readonly seconds: number; readonly signal: AbortSignal } | undefined {
  const prefer = call.header("prefer");
  if (prefer === undefined) return undefined;
  const seconds = Math.min(Number(waiting.exec(prefer)?.[1] ?? 0), longestSeconds);
  return seconds > 0 ? { seconds, signal: call.signal() } : undefined;
}
