/** `POST /spend`: an API reserves a token before it acts, and completes or fails the reservation afterwards. */
import { type SpendOperation, spendOperations } from "@countersign/protocol";
import { type SpendRefusal, type Token, toAuthorizationDetails } from "../../../domain/token/token.ts";
import { type SpendDeps, type SpendInput, spend } from "../../../usecase/token/spend.ts";
import type { EndpointHandler } from "../../route.ts";
import { createJsonResponse } from "../../transport/response.ts";
import { authenticateApi } from "../client-authentication.ts";
import { type Form, readForm, requireParameter } from "../form.ts";
import { OAuthError } from "../oauth-error.ts";

const descriptions: Record<SpendRefusal, string> = {
  invalid_token: "this token is unknown, revoked, or for another API",
  expired_token: "this token has expired",
  already_spent: "this token has been used",
  digest_mismatch: "act_digest does not match the approved action",
};

export function createSpendHandler(deps: SpendDeps): EndpointHandler {
  return async (request) => {
    const form = await readForm(request);
    const api = await authenticateApi(deps.store, request, form);
    const result = await spend(deps, { api, ...readSpendInput(form) });
    if ("refused" in result)
      throw new OAuthError(result.refused, descriptions[result.refused], { status: 409 });
    return createJsonResponse(toSpendResponse(result));
  };
}

function readSpendInput(
  form: Form,
):
  | Omit<SpendInput & { operation: "reserve" }, "api">
  | Omit<SpendInput & { operation: "complete" | "fail" }, "api"> {
  const operation = requireParameter(form, "operation") as SpendOperation;
  if (!spendOperations.includes(operation))
    throw new OAuthError("invalid_request", "operation is reserve, complete or fail");
  const spendId = requireParameter(form, "spend_id");
  if (!/^[A-Za-z0-9_-]{22,128}$/.test(spendId))
    throw new OAuthError(
      "invalid_request",
      "spend_id is 22 to 128 characters of base64url, fresh for each attempt",
    );
  const common = { accessToken: requireParameter(form, "token"), spendId };
  return operation === "reserve"
    ? { ...common, operation, digest: requireParameter(form, "act_digest") }
    : { ...common, operation };
}

function toSpendResponse(token: Token) {
  return {
    state: token.state,
    spend_id: token.spend?.id,
    jti: token.jti,
    client_id: token.agent,
    sub: token.subject,
    approved_by: token.approvedBy,
    act_digest: token.digest,
    authorization_details: toAuthorizationDetails(token),
  };
}
