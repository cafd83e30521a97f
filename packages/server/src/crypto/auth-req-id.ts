/**
 * `auth_req_id`: the request's id and an HMAC over it and its agent, under the key from outside the database. An
 * identical ask is thus given the same one again without its being kept anywhere, and an unknown one and another
 * agent's fail alike, at the HMAC, before anything is read (CIBA §7.3: at least 128 bits, `A-Za-z0-9.-_`).
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
