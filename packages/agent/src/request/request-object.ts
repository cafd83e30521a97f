/** How what is asked for travels: as a form, or signed, with all of it inside one JWT (CIBA §7.1.1). */
import type { Json } from "@countersign/protocol";
import type { Clock } from "@countersign/protocol/client";
import type { Sign } from "../credential/signing-key.ts";
import { canonicalizeArgument } from "./action.ts";

export type Parameters = Readonly<Record<string, Json | undefined>>;
export type Form = Readonly<Record<string, string>>;

const lifetimeSeconds = 60;

/** What is not a string is written as JSON. */
export function asForm(parameters: Parameters): Form {
  return Object.fromEntries(
    Object.entries(given(parameters)).map(([name, value]) => [
      name,
      typeof value === "string" ? value : canonicalizeArgument(value),
    ]),
  );
}

/** Made anew for each attempt: the server accepts each `jti` once. */
export async function asRequestObject(
  parameters: Parameters,
  { clientId, issuer, clock }: { readonly clientId: string; readonly issuer: string; readonly clock: Clock },
  sign: Sign,
): Promise<Form> {
  const iat = Math.floor(clock.now() / 1000);
  const claims = {
    // Through the canonical form, which refuses what JSON would round or leave out.
    ...JSON.parse(canonicalizeArgument(given(parameters))),
    iss: clientId,
    aud: issuer,
    jti: crypto.randomUUID(),
    iat,
    nbf: iat,
    exp: iat + lifetimeSeconds,
  };
  return { request: await sign(claims, "oauth-authz-req+jwt") };
}

function given(parameters: Parameters): Readonly<Record<string, Json>> {
  const entries = Object.entries(parameters).filter((pair): pair is [string, Json] => pair[1] !== undefined);
  return Object.fromEntries(entries);
}
