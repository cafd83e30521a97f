/** `POST /bc-authorize` (CIBA §7.1 to §7.3): the agent's ask. */
import { type AskRefusal, ask } from "../../../usecase/request/ask.ts";
import type { HttpDeps } from "../../deps.ts";
import type { TlsPeer } from "../../transport/peer.ts";
import type { ProtocolRequest } from "../../transport/protocol-request.ts";
import { type Answer, answerJson } from "../../transport/response.ts";
import { readAsk } from "../authentication-request.ts";
import { authenticateAgent } from "../client-authentication.ts";
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

/** A permission check that has just not answered may do so soon. */
const retryAfterSeconds = "2";

export async function backchannelAuthentication(
  deps: HttpDeps,
  call: ProtocolRequest,
  peer: TlsPeer,
): Promise<Answer> {
  const form = await readForm(call);
  const agent = await authenticateAgent(deps, call, form, peer);
  const input = await readAsk(deps, agent.record, form);
  const answer = await ask(deps, agent, {
    ...input,
    idempotencyKey: readIdempotencyKey(call),
  });
  if ("refused" in answer) {
    const { code, status } = errors[answer.refused];
    throw new OAuthError(code, answer.why, {
      status,
      ...(answer.gate && { members: { gate: answer.gate } }),
      ...(status === 503 && { headers: { "retry-after": retryAfterSeconds } }),
    });
  }
  return answerJson({
    auth_req_id: deps.tickets.issue(answer.requestId, agent.record.id),
    expires_in: Math.max(1, Math.ceil((answer.expiresAt - deps.store.now()) / 1000)),
    ...(agent.record.delivery.mode !== "push" && { interval: deps.config.limits.pollIntervalSeconds }),
    ...(answer.joined && { joined: true }),
  });
}

function readIdempotencyKey(call: ProtocolRequest): string | undefined {
  const key = call.header("idempotency-key");
  if (key === undefined) return undefined;
  if (!/^[\x21-\x7e]{1,255}$/.test(key))
    throw new OAuthError("invalid_request", "Idempotency-Key is 1 to 255 visible ASCII characters");
  return key;
}
