/**
 * `auth_req_id`: the request's id and an HMAC over it and its agent, under the key from outside the database. An
 * identical ask is thus given the same one again without its being kept anywhere, and an unknown one and another
 * agent's fail alike, at the HMAC, before anything is read (CIBA §7.3: at least 128 bits, `A-Za-z0-9.-_`).
 */
import { createStamp, type OutsideKey } from "./outside-key.ts";

export type Tickets = {
  readonly issue: (approvalId: string, agentId: string) => string;
  readonly open: (authReqId: string, agentId: string) => string | undefined;
};

export function createTickets(key: OutsideKey): Tickets {
  const stamp = createStamp(key, "auth_req_id");
  return {
    issue: (approvalId, agentId) => `${approvalId}.${stamp.make(approvalId, agentId)}`,
    open: (authReqId, agentId) => {
      const dot = authReqId.indexOf(".");
      const approvalId = authReqId.slice(0, Math.max(0, dot));
      return stamp.check(authReqId.slice(dot + 1), approvalId, agentId) ? approvalId : undefined;
    },
  };
}
