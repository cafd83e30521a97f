/** The bodies of ping and push (CIBA §10.2, §10.3.1, §12), beside the token endpoint's answers that they resemble. */
import type { CallbackPayload, PushError } from "../../job/callback-client.ts";
import { toDenial, toTokenResponse } from "./token-response.ts";

const descriptions = {
  access_denied: "the request was denied or withdrawn, or does not hold any more",
  expired_token: "nobody decided in time",
  transaction_failed: "the token cannot be delivered in this way, or was lost on the way; ask again",
} as const satisfies Record<PushError, string>;

export function encodeNotification(notice: CallbackPayload): string {
  return JSON.stringify({ auth_req_id: notice.authReqId, ...said(notice) });
}

function said(notice: CallbackPayload): object {
  switch (notice.say) {
    case "answered":
      return {};
    case "granted":
      return toTokenResponse(notice.grant);
    case "refused": {
      const { description, members } = toDenial(descriptions[notice.error], notice.reason);
      return { error: notice.error, error_description: description, ...members };
    }
  }
}
