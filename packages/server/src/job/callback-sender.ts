/** Posts to agents' callbacks (CIBA §10.2, §10.3). Of the answer only the status is read. */

import type { Outbound } from "../outbound/outbound.ts";
import { getTraceparent } from "../tracing/tracing.ts";
import type { CallbackClient } from "./callback-client.ts";

/** Shorter than the lease under which it is sent. */
const timeoutMs = 8_000;

export function createCallbackSender(outbound: Outbound): CallbackClient["send"] {
  return async (endpoint, notificationToken, body, stop) => {
    const trace = getTraceparent();
    const response = await outbound({
      url: endpoint,
      method: "POST",
      headers: {
        authorization: `Bearer ${notificationToken}`,
        "content-type": "application/json",
        // The trace is the agent's own: it began with its ask.
        ...(trace !== undefined && { traceparent: trace }),
      },
      body,
      maxBytes: 0,
      timeoutMs,
      signal: stop,
    });
    if (!("failed" in response)) return { status: response.status };
    if (response.failed === "stopped") return undefined;
    // What the guard refuses is refused until the operator or the agent changes something.
    return { problem: response.why, final: response.failed === "refused" };
  };
}
