/** The declaration of a refund and the fields of one request for it. */

import type { JsonObject } from "@countersign/protocol";
import type { ActionPolicy } from "../../../server/src/domain/action/action-type.ts";
import { buildActionPolicy } from "../../../server/src/domain/action/build.ts";
import { hashCard, renderCard } from "../../../server/src/domain/action/card.ts";
import type { Declaration } from "../../../server/src/domain/action/declaration.ts";
import type { ApprovalRequest } from "../../../server/src/domain/request/request.ts";
import { aRequest } from "../../../server/src/store/contract/fixture.ts";
import type { PublishedActionType } from "../../../server/src/store/record/action-type.ts";

export const refundDeclaration = {
  type: "refund",
  audience: "https://refunds.example",
  schema: {
    type: "object",
    additionalProperties: false,
    required: ["order", "customer", "amount", "currency"],
    properties: {
      order: { type: "string", maxLength: 40 },
      customer: { type: "string", maxLength: 80 },
      amount: { type: "string", maxLength: 20 },
      currency: { type: "string", maxLength: 3 },
      copies: { type: "array", items: { type: "string", maxLength: 80 }, maxItems: 5 },
      parcels: { type: "integer", minimum: 0 },
      reason: { type: "string", maxLength: 500 },
    },
  },
  bound: ["order", "customer", "amount", "currency", "copies", "parcels"],
  advisory: ["reason"],
  denyBy: ["order"],
  sentence: "Refund {amount} to {customer} for order {order}",
  rows: [
    { label: "Amount", field: "amount", as: "money", currency: "currency" },
    { label: "Customer", field: "customer", as: "text" },
    { label: "Order", field: "order", as: "text" },
    { label: "Copies to", field: "copies", as: "list" },
    { label: "Parcels", field: "parcels", as: "quantity", unit: "parcels" },
    { label: "Reason", field: "reason", as: "text" },
  ],
  approvers: { people: ["ada@example.com"], groups: [] },
} as const satisfies Declaration;

/** The fields of one refund, without its type. */
export const refundFields = { order: "A-1", customer: "Grace", amount: "10000.00", currency: "USD" } as const;

/** Builds the policy of a declaration. Throws if it has a problem. */
export function createPolicy(declaration: Declaration = refundDeclaration): ActionPolicy {
  const built = buildActionPolicy(declaration);
  if ("problems" in built) throw new Error(JSON.stringify(built.problems, null, 2));
  return built.policy;
}

export const samplePolicies: ReadonlyMap<string, ActionPolicy> = new Map([["refund", createPolicy()]]);

/** Creates a pending request for a refund whose card displays its action, and the action type that it names. */
export function createIntactRequest(overrides: Partial<ApprovalRequest> = {}): {
  readonly request: ApprovalRequest;
  readonly actionType: PublishedActionType;
} {
  const policy = createPolicy();
  const { hash, definition } = policy;
  const { type, audience, level } = definition;
  const base = aRequest({ audience, level, ...overrides });
  const card = renderCard({
    parts: [{ policy, bound: refundFields, advisory: {} }],
    agent: { id: base.agent, name: base.agent },
    level: base.level,
    expiresAt: base.expiresAt,
    salt: "c2FsdHNhbHRzYWx0c2FsdA",
  });
  if ("refused" in card) throw new Error(JSON.stringify(card));
  const parts = [{ type, typeHash: hash, bound: refundFields, denyKey: "denial_1" }];
  return {
    request: { ...base, parts, digest: card.digest, card, cardHash: hashCard(card) },
    actionType: { hash, type, definition: definition as unknown as JsonObject, publishedAt: base.createdAt },
  };
}
