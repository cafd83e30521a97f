/** Parses `Prefer: wait` (RFC 7240). Other preferences are ignored, as the RFC requires. */
import type { ProtocolRequest } from "../transport/protocol-request.ts";

/** Upper bound for `Prefer: wait`, in seconds; common proxies time out beyond it. */
const maxWaitSeconds = 30;

const waitPattern = /(?:^|,)\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?:[,;]|$)/i;

/** Returns the granted wait (1 to 30 s) and a signal that aborts when the client disconnects; undefined for no wait. */
export function parsePreferWait(
  request: ProtocolRequest,
): { readonly seconds: number; readonly signal: AbortSignal } | undefined {
  const prefer = request.header("prefer");
  if (prefer === undefined) return undefined;
  const seconds = Math.min(Number(waitPattern.exec(prefer)?.[1] ?? 0), maxWaitSeconds);
  return seconds > 0 ? { seconds, signal: request.signal() } : undefined;
}
