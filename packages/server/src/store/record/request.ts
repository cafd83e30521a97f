import type { ApprovalRequest } from "../../domain/request/request.ts";
import { defineRecord } from "./define-record.ts";

export const requestRecord = defineRecord<ApprovalRequest>()({
  id: (request) => request.id,
  retention: "expires",
  dueAt: ({ status, expiresAt }) =>
    status.state === "pending" || status.state === "approved" ? expiresAt : null,
  logged: true,
  columns: {
    agent: (request) => request.agent,
    state: (request) => request.status.state,
    created_at: (request) => request.createdAt,
    expires_at: (request) => request.expiresAt,
    decided_by: ({ status }) => ("decision" in status ? status.decision.approver : null),
  },
  indexes: [
    { name: "state", on: ["state", "id"] },
    { name: "decided_by", on: ["decided_by", "id"], where: "decided_by IS NOT NULL" },
    { name: "pending", on: ["agent", "expires_at"], where: "state = 'pending'" },
    { name: "asked", on: ["agent", "created_at"] },
  ],
  hasRandomId: true,
});
