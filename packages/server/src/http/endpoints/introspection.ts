/** `POST /introspect` (RFC 7662), for the API that a token is for. Active only while the token is issued and unspent. */
import { introspect } from "../../operations/introspect.ts";
import { detailsOf } from "../../token/token.ts";
import { authenticateApi } from "../client-authentication.ts";
import { readForm, required } from "../form.ts";
import type { HttpGround } from "../ground.ts";

export async function introspection(ground: HttpGround, request: Request): Promise<Response> {
  const form = await readForm(request);
  const api = await authenticateApi(ground, request, form);
  const token = await introspect(ground, api, required(form, "token"));
  const answer = token
    ? {
        active: true,
        iss: ground.config.issuer,
        aud: token.audience,
        sub: token.subject,
        client_id: token.agent,
        jti: token.jti,
        iat: Math.floor(token.issuedAt / 1000),
        exp: Math.floor(token.expiresAt / 1000),
        scope: token.scope,
        token_type: token.confirmation && "jkt" in token.confirmation ? "DPoP" : "Bearer",
        ...(token.confirmation && { cnf: token.confirmation }),
        authorization_details: detailsOf(token),
        act_digest: token.digest,
        approved_by: token.approvedBy,
      }
    : { active: false };
  return Response.json(answer, { headers: { "cache-control": "no-store" } });
}
