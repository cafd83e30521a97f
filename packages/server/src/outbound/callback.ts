/** Posts to agents' callbacks (CIBA §10.2, §10.3). Of the answer only the status is read. */
import type { Courier } from "../operations/courier.ts";
import type { Outbound } from "./outbound.ts";

/** Shorter than the lease under which it is sent. */
const timeoutMs = 8_000;

export function callbackPost(outbound: Outbound): Courier["post"] {
  return async (endpoint, notificationToken, body, stop) => {
    const answer = await outbound({
      url: endpoint,
      method: "POST",
      headers: { authorization: `Bearer ${notificationToken}`, "content-type": "application/json" },
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
