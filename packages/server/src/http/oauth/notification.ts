/** Encodes the bodies of ping and push (CIBA §10.2, §10.3.1, §12). */
import type { CallbackPayload, PushError } from "../../job/callback-client.ts";
import { describeDenial, toTokenResponse } from "./endpoint/token.ts";

const descriptions = {
  access_denied: "the request was denied or cancelled, or the approval is no longer valid",
  expired_token: "no approver decided in time",
  transaction_failed: "the token could not be delivered; send a new authentication request",
} as const satisfies Record<PushError, string>;

export function encodeNotification(payload: CallbackPayload): string {
  return JSON.stringify({ auth_req_id: payload.authReqId, ...toNotificationMembers(payload) });
}

function toNotificationMembers(payload: CallbackPayload): object {
  switch (payload.kind) {
    case "ping":
      return {};
    case "token":
      return toTokenResponse(payload.issued);
    case "error": {
      const { description, members } = describeDenial(descriptions[payload.error], payload.reason);
      return { error: payload.error, error_description: description, ...members };
    }
  }
}
