/** `POST /spend`: the API that is about to act reserves the token, and says afterwards how it ended. */
import { type SpendOperation, spendOperations } from "@countersign/protocol";
import { detailsOf, type SpendRefusal, type Token } from "../../../domain/token/token.ts";
import { type SpendInput, spend } from "../../../usecase/token/spend.ts";
import type { HttpDeps } from "../../deps.ts";
import type { ProtocolRequest } from "../../transport/protocol-request.ts";
import { type Answer, answerJson } from "../../transport/response.ts";
import { authenticateApi } from "../client-authentication.ts";
import { type Form, readForm, required } from "../form.ts";
import { OAuthError } from "../oauth-error.ts";

const descriptions: Record<SpendRefusal, string> = {
  invalid_token: "this token is unknown, revoked, or for another API",
  expired_token: "this token has expired",
  already_spent: "this token has been used",
  digest_mismatch: "the call is not the action that was approved",
};

export async function spendToken(deps: HttpDeps, call: ProtocolRequest): Promise<Answer> {
  const form = await readForm(call);
  const api = await authenticateApi(deps, call, form);
  const answer = await spend(deps, { api, ...readSpend(form) });
  if ("refused" in answer)
    throw new OAuthError(answer.refused, descriptions[answer.refused], { status: 409 });
  return answerJson(render(answer));
}

function readSpend(
  form: Form,
):
  | Omit<SpendInput & { operation: "reserve" }, "api">
  | Omit<SpendInput & { operation: "complete" | "fail" }, "api"> {
  const operation = required(form, "operation") as SpendOperation;
  if (!spendOperations.includes(operation))
    throw new OAuthError("invalid_request", "operation is reserve, complete or fail");
  const spendId = required(form, "spend_id");
  if (!/^[A-Za-z0-9_-]{22,128}$/.test(spendId))
    throw new OAuthError(
      "invalid_request",
      "spend_id is 22 to 128 characters of base64url, fresh for each attempt",
    );
  const common = { accessToken: required(form, "token"), spendId };
  return operation === "reserve"
    ? { ...common, operation, digest: required(form, "act_digest") }
    : { ...common, operation };
}

function render(token: Token) {
  return {
    state: token.state,
    spend_id: token.spend?.id,
    jti: token.jti,
    client_id: token.agent,
    sub: token.subject,
    approved_by: token.approvedBy,
    act_digest: token.digest,
    authorization_details: detailsOf(token),
  };
}
