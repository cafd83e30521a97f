/** Loads the keys of the configured issuers of `login_hint_token`. */
import { readFileSync } from "node:fs";
import { parseJson } from "@countersign/protocol";
import type { LoginHintIssuers } from "../config/section/login-hint-issuers.ts";
import type { Keys } from "../domain/client/client.ts";
import { parseJwks } from "../domain/client/public-key.ts";

/** Returns the keys by issuer. Throws an error that names the file if a key file cannot be read. */
export function loadLoginHintKeys(issuers: LoginHintIssuers): ReadonlyMap<string, Keys> {
  return new Map(
    [...issuers].map(([issuer, keys]) => [
      issuer,
      "jwksUri" in keys ? { from: "uri", uri: keys.jwksUri } : readKeyFile(keys.jwksFile),
    ]),
  );
}

function readKeyFile(file: string): Keys {
  const parsed = parseJson(readFileSync(file, "utf8"));
  const read =
    "refused" in parsed ? { why: `it is not valid JSON (${parsed.path})` } : parseJwks(parsed.value);
  if ("why" in read)
    throw new Error(`the keys of a login hint issuer in ${file} cannot be used: ${read.why}`);
  return { from: "registration", jwks: read.keys };
}
