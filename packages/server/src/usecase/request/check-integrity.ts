/**
 * Checks that the stored card still displays the stored action: before it is shown, decided and redeemed. A database record that
 * was changed by other means would otherwise display one action and grant another.
 */
import type { Policy } from "../../config/sections.ts";
import type { ActionType } from "../../domain/action/action-type.ts";
import { findCardMismatch } from "../../domain/action/card.ts";
import type { ApprovalRequest } from "../../domain/request/request.ts";
import type { Store } from "../../store/store.ts";

/** The record of a request does not agree with itself: it was not written by this server, or the database is corrupt. */
export class RequestIntegrityError extends Error {
  override readonly name = "RequestIntegrityError";
}

/**
 * Rejects with `RequestIntegrityError` if digest, card hash or displayed values cannot be derived from the action again.
 * `policy` saves a read if it still has the definitions that the request names.
 */
export async function checkIntegrity(
  store: Store,
  request: ApprovalRequest,
  policy?: Pick<Policy, "actions">,
): Promise<void> {
  const definitions: ActionType[] = [];
  for (const { type, typeHash } of request.parts) {
    const current = policy?.actions.get(type);
    if (current?.hash === typeHash) definitions.push(current.definition);
    else {
      const published = await store.read("action_type", typeHash);
      if (published) definitions.push(published.record.definition as unknown as ActionType);
    }
  }
  const mismatch = findCardMismatch(request, definitions);
  if (mismatch !== undefined)
    throw new RequestIntegrityError(
      `the record of request ${request.id} was changed: ${mismatch} cannot be derived from the action`,
    );
}
