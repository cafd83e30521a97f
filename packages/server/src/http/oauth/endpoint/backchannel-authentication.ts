/** `POST /bc-authorize` (CIBA §7.1 to §7.3): creates an approval request, or joins an existing one. */
import type { AuthReqIds } from "../../../crypto/auth-req-id.ts";
import { type AskDeps, type AskRefusal, ask } from "../../../usecase/request/ask.ts";
import type { EndpointHandler } from "../../route.ts";
import type { ProtocolRequest } from "../../transport/protocol-request.ts";
import { createJsonResponse } from "../../transport/response.ts";
import { type AuthenticationRequestDeps, readAsk } from "../authentication-request.ts";
import { type AuthenticationDeps, authenticateAgent } from "../client-authentication.ts";
import { readForm } from "../form.ts";
import { OAuthError, type OAuthErrorCode } from "../oauth-error.ts";

const errors = {
  access_denied: { code: "access_denied", status: 403 },
  invalid_scope: { code: "invalid_scope", status: 400 },
  invalid_authorization_details: { code: "invalid_authorization_details", status: 400 },
  invalid_binding_message: { code: "invalid_binding_message", status: 400 },
  invalid_user_code: { code: "invalid_user_code", status: 400 },
  missing_user_code: { code: "missing_user_code", status: 400 },
  invalid_target: { code: "invalid_target", status: 400 },
  invalid_request: { code: "invalid_request", status: 400 },
  temporarily_unavailable: { code: "temporarily_unavailable", status: 503 },
  unauthorized_client: { code: "unauthorized_client", status: 400 },
  unknown_user_id: { code: "unknown_user_id", status: 400 },
} as const satisfies Record<AskRefusal, { code: OAuthErrorCode; status: 400 | 403 | 503 }>;

/** `Retry-After` if the permission backend is unavailable. */
const retryAfterSeconds = "2";

export type BackchannelAuthenticationDeps = AskDeps &
  AuthenticationDeps &
  AuthenticationRequestDeps & { readonly authReqIds: Pick<AuthReqIds, "issue"> };

export function createBackchannelAuthenticationHandler(deps: BackchannelAuthenticationDeps): EndpointHandler {
  return async (request, peer) => {
    const form = await readForm(request);
    const agent = await authenticateAgent(deps, request, form, peer);
    const input = await readAsk(deps, agent.record, form);
    const result = await ask(deps, agent, { ...input, idempotencyKey: readIdempotencyKey(request) });
    if ("refused" in result) {
      const { code, status } = errors[result.refused];
      throw new OAuthError(code, result.why, {
        status,
        ...(result.stage && { members: { stage: result.stage } }),
        ...(status === 503 && { headers: { "retry-after": retryAfterSeconds } }),
      });
    }
    return createJsonResponse({
      auth_req_id: deps.authReqIds.issue(result.requestId, agent.record.id),
      expires_in: Math.max(1, Math.ceil((result.expiresAt - deps.store.now()) / 1000)),
      ...(agent.record.delivery.mode !== "push" && {
        interval: deps.policy.current().limits.pollIntervalSeconds,
      }),
      ...(result.joined && { joined: true }),
    });
  };
}

function readIdempotencyKey(request: ProtocolRequest): string | undefined {
  const key = request.header("idempotency-key");
  if (key === undefined) return undefined;
  if (!/^[\x21-\x7e]{1,255}$/.test(key))
    throw new OAuthError("invalid_request", "Idempotency-Key is 1 to 255 visible ASCII characters");
  return key;
}
