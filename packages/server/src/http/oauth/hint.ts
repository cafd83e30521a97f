/** Reads the hint: exactly one of three parameters (CIBA §7.1). A hint never adds an approver to those the policy allows. */
import type { Agent } from "../../domain/client/client.ts";
import type { Keyring } from "../../usecase/key/keyring.ts";
import type { Hint } from "../../usecase/request/resolve-ask.ts";
import type { Form } from "./form.ts";
import { readLoginHint } from "./login-hint.ts";
import { type LoginHintDeps, readLoginHintToken } from "./login-hint-token.ts";
import { OAuthError } from "./oauth-error.ts";

const hintNames = ["login_hint", "login_hint_token", "id_token_hint"] as const;

export type HintDeps = LoginHintDeps & { readonly keyring: Pick<Keyring, "readIdToken"> };

/** Returns the hint. Rejects with `invalid_request` unless there is exactly one, `unknown_user_id` if no approver can match. */
export async function readHint(deps: HintDeps, agent: Agent, parameters: Form): Promise<Hint> {
  const [name, other] = hintNames.filter((hint) => parameters.has(hint));
  if (name === undefined || other !== undefined)
    throw new OAuthError(
      "invalid_request",
      "send exactly one of login_hint, login_hint_token and id_token_hint",
    );
  const value = parameters.get(name) ?? "";
  if (name === "id_token_hint") return await readIdTokenHint(deps, agent, value);
  if (name === "login_hint_token") return await readLoginHintToken(deps, value);
  const hint = readLoginHint(value, deps.settings.issuer);
  if (!hint) throw new OAuthError("unknown_user_id", "no approver matches the login_hint");
  return hint;
}

/**
 * Verifies an ID token that this server issued to this agent. An expired one is accepted: it lives for minutes and here only
 * identifies the approver (CIBA §7.1).
 */
async function readIdTokenHint({ keyring }: HintDeps, agent: Agent, idToken: string): Promise<Hint> {
  const claims = await keyring.readIdToken(idToken);
  if (!claims || claims.aud !== agent.id || typeof claims.sub !== "string")
    throw new OAuthError(
      "invalid_request",
      "id_token_hint is not an ID token that this server issued to this agent",
    );
  return { by: "id", id: claims.sub };
}
