/**
 * `auth_req_id`: the request id, and an HMAC over request id and agent id under the root key. It is not stored: a repeated
 * request yields the same value. An unknown value and another agent's value fail alike, at the HMAC, before any read of the
 * store (CIBA §7.3: at least 128 bits, `A-Za-z0-9.-_`).
 */
import { createMac, type RootKey } from "./root-key.ts";

export type AuthReqIds = {
  readonly issue: (requestId: string, agentId: string) => string;
  readonly resolve: (authReqId: string, agentId: string) => string | undefined;
};

export function createAuthReqIds(key: RootKey): AuthReqIds {
  const mac = createMac(key, "auth_req_id");
  return {
    issue: (requestId, agentId) => `${requestId}.${mac.make(requestId, agentId)}`,
    resolve: (authReqId, agentId) => {
      const dot = authReqId.indexOf(".");
      const requestId = authReqId.slice(0, Math.max(0, dot));
      return mac.check(authReqId.slice(dot + 1), requestId, agentId) ? requestId : undefined;
    },
  };
}
