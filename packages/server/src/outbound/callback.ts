/** Posts to agents' callbacks (CIBA §10.2, §10.3). Of the answer only the status is read. */
import type { Courier } from "../operations/courier.ts";
import { traceparent } from "../operations/trace.ts";
import type { Outbound } from "./outbound.ts";

/** Shorter than the lease under which it is sent. */
const timeoutMs = 8_000;

export function callbackPost(outbound: Outbound): Courier["post"] {
  return async (endpoint, notificationToken, body, stop) => {
    const trace = traceparent();
    const answer = await outbound({
      url: endpoint,
      method: "POST",
      headers: {
        authorization: `Bearer ${notificationToken}`,
        "content-type": "application/json",
        // The trace is the agent's own: it began with its ask.
        ...(trace !== undefined && { traceparent: trace }),
      },
      body,
      mostBytes: 0,
      timeoutMs,
      signal: stop,
    });
    if (!("failed" in answer)) return { status: answer.status };
    if (answer.failed === "stopped") return undefined;
    // What the guard refuses is refused until the operator or the agent changes something.
    return { problem: answer.why, final: answer.failed === "refused" };
  };
}
