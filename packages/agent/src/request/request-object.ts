/** Encodes the parameters of a request: as a form, or as a signed request object (CIBA §7.1.1). */
import type { Json } from "@countersign/protocol";
import type { Clock } from "@countersign/protocol/client";
import type { Sign } from "../credential/signing-key.ts";
import { canonicalizeArgument } from "./action.ts";

export type Parameters = Readonly<Record<string, Json | undefined>>;
export type Form = Readonly<Record<string, string>>;

const lifetimeSeconds = 60;

/** Encodes parameters as a form. Values other than strings are written as canonical JSON. */
export function encodeForm(parameters: Parameters): Form {
  return Object.fromEntries(
    Object.entries(omitUndefined(parameters)).map(([name, value]) => [
      name,
      typeof value === "string" ? value : canonicalizeArgument(value),
    ]),
  );
}

/** Signs parameters as a request object, for one attempt: the server accepts each `jti` once. */
export async function signRequestObject(
  parameters: Parameters,
  { clientId, issuer, clock }: { readonly clientId: string; readonly issuer: string; readonly clock: Clock },
  sign: Sign,
): Promise<Form> {
  const iat = Math.floor(clock.now() / 1000);
  const claims = {
    // The canonical form rejects values that `JSON.stringify` would round or omit.
    ...JSON.parse(canonicalizeArgument(omitUndefined(parameters))),
    iss: clientId,
    aud: issuer,
    jti: crypto.randomUUID(),
    iat,
    nbf: iat,
    exp: iat + lifetimeSeconds,
  };
  return { request: await sign(claims, "oauth-authz-req+jwt") };
}

function omitUndefined(parameters: Parameters): Readonly<Record<string, Json>> {
  const entries = Object.entries(parameters).filter((pair): pair is [string, Json] => pair[1] !== undefined);
  return Object.fromEntries(entries);
}
