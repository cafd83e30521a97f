/** Parses `Prefer: wait` (RFC 7240). Other preferences are ignored, as the RFC requires. */

import type { ProtocolRequest } from "../transport/protocol-request.ts";

/** Upper bound for `Prefer: wait`, in seconds; common proxies time out beyond it. */
const longestSeconds = 30;

const waiting = /(?:^|,)\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?:[,;]|$)/i;

/** Returns the granted wait, and the signal that aborts when the client disconnects. */
export function parsePreferWait(
  call: ProtocolRequest,
): { readonly seconds: number; readonly signal: AbortSignal } | undefined {
  const prefer = call.header("prefer");
  if (prefer === undefined) return undefined;
  const seconds = Math.min(Number(waiting.exec(prefer)?.[1] ?? 0), longestSeconds);
  return seconds > 0 ? { seconds, signal: call.signal() } : undefined;
}
