/** Posts callbacks to agents' notification endpoints (CIBA §10.2, §10.3). Reads only the status of the response. */

import type { Outbound } from "../outbound/outbound.ts";
import { getTraceparent } from "../tracing/tracing.ts";
import type { CallbackClient } from "./callback-client.ts";

/** Must be shorter than the lease of a callback. */
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
        // The trace that the agent's own request started.
        ...(trace !== undefined && { traceparent: trace }),
      },
      body,
      maxBytes: 0,
      timeoutMs,
      signal: stop,
    });
    if (!("failed" in response)) return { status: response.status };
    if (response.failed === "stopped") return undefined;
    // An SSRF refusal lasts until the operator or the agent changes a setting: do not retry.
    return { problem: response.why, final: response.failed === "refused" };
  };
}
