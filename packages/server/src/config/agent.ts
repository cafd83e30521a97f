/** Agents that the configuration declares: client metadata in the file's spelling, and secrets by their hashes alone. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { inspectText, type Json, type JsonObject, parseJson } from "@countersign/protocol";
import type { ActionPolicy } from "../domain/action/action-type.ts";
import type { Agent, Credential } from "../domain/client/client.ts";
import {
  type ClientAuthMethod,
  type RegistrationPolicy,
  readRegistration,
  registrationMembers,
} from "../domain/client/registration.ts";
import { typeMetadata } from "../domain/client/type-metadata.ts";
import type { Path } from "./document.ts";
import { agentSchema, type Finding, validate } from "./schema.ts";

export type DeclaredAgent = Omit<
  Agent,
  "id" | "credential" | "paused" | "createdAt" | "source" | "registration"
> & { readonly credential: DeclaredCredential };
/** Of a secret only the hash is declared, which is not enough for an HMAC. */
type DeclaredCredential = Exclude<Credential, { readonly method: "client_secret_jwt" }>;

type Sections = {
  readonly agents: { readonly [id: string]: unknown };
  readonly actions: { readonly [type: string]: unknown };
  readonly scopes: { readonly [scope: string]: unknown };
};
type Say = (finding: Finding) => void;

/** Each on its own. `from` is what files are relative to; `terms` has those actions that have no problem themselves. */
export function readAgents(
  { agents, actions, scopes }: Sections,
  terms: RegistrationPolicy,
  from: string,
  say: Say,
): [string, DeclaredAgent][] {
  const { types } = terms;
  // What is wrong with an action is said there, and not again with each of its agents.
  const broken = [...Object.keys(actions), ...Object.keys(scopes)].filter((type) => !types.has(type));
  const declared: [string, DeclaredAgent][] = [];
  for (const [id, value] of Object.entries(agents)) {
    const path = ["agents", id];
    const shaped = validate(agentSchema, value, path, say);
    if (!shaped) continue;
    const wanted = shaped.types.filter((type) => !broken.includes(type));
    const metadata = wanted.length > 0 && readMetadata(shaped, wanted, types, { path, from, say });
    if (!metadata) continue;
    const read = readRegistration(metadata, terms);
    if ("problems" in read)
      for (const { member, message, remedy } of read.problems)
        say({ path: [...path, placeOf(member, shaped)], message, remedy });
    const credential = "proof" in read && readCredential(read.proof, shaped.secret_sha256, path, say);
    if (!credential) continue;
    const { proof: _, ...registration } = read;
    declared.push([id, { name: readName(shaped.name ?? id, path, say), ...registration, credential }]);
  }
  return declared;
}

type Shaped = { readonly types: readonly string[]; readonly jwks_file?: string | undefined } & Readonly<
  Record<string, unknown>
>;

function readMetadata(
  shaped: Shaped,
  wanted: readonly string[],
  types: ReadonlyMap<string, ActionPolicy>,
  { path, from, say }: { readonly path: Path; readonly from: string; readonly say: Say },
): JsonObject | undefined {
  const given = registrationMembers.filter((member) => shaped[member] !== undefined);
  // Whatever YAML made of it has to be what JSON could say.
  const plain = parseJson(
    JSON.stringify(Object.fromEntries(given.map((member) => [member, shaped[member]]))),
  );
  if ("refused" in plain) {
    say({
      path,
      message: `this cannot be said in JSON (${plain.path})`,
      remedy: "write numbers whole, or as text",
    });
    return undefined;
  }
  const metadata: { [member: string]: Json } = {
    ...(plain.value as JsonObject),
    ...typeMetadata(wanted, types),
  };
  if (shaped.jwks_file === undefined) return metadata;
  const at = [...path, "jwks_file"];
  if (metadata.jwks !== undefined) {
    say({ path: at, message: "jwks is given too", remedy: "give one of the two" });
    return undefined;
  }
  try {
    const read = parseJson(readFileSync(resolve(from, shaped.jwks_file), "utf8"));
    if ("value" in read) return { ...metadata, jwks: read.value };
    say({ path: at, message: "the file cannot be read as JSON", remedy: "put a JWK Set into it" });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const message = code === "ENOENT" ? "there is no such file" : `the file cannot be read (${code})`;
    say({ path: at, message, remedy: "name the file with the agent's public keys" });
  }
  return undefined;
}

/** The key of the file that a member was made from. */
function placeOf(member: string, shaped: Shaped): string {
  if (member === "authorization_details_types" || member === "scope") return "types";
  return member === "jwks" && shaped.jwks_file !== undefined ? "jwks_file" : member;
}

function readCredential(
  proof: ClientAuthMethod,
  hash: string | undefined,
  path: Path,
  say: Say,
): DeclaredCredential | undefined {
  const { method } = proof;
  const wants = method === "client_secret_basic" || method === "client_secret_post";
  if (method === "client_secret_jwt")
    say({
      path: [...path, "token_endpoint_auth_method"],
      message: "client_secret_jwt needs the secret itself, which does not belong into this file",
      remedy: "use private_key_jwt, or add this agent by command: countersign agent add",
    });
  else if (wants && hash === undefined)
    say({
      path,
      message: `${method} needs the hash of a secret`,
      remedy: "give secret_sha256, as countersign agent hash-secret --new prints it",
    });
  else if (!wants && hash !== undefined)
    say({ path: [...path, "secret_sha256"], message: `${method} has no secret`, remedy: "leave it out" });
  else if (wants && hash !== undefined)
    return { method, secretHash: Buffer.from(hash, "hex").toString("base64url") };
  else return proof as DeclaredCredential;
  return undefined;
}

function readName(name: string, path: Path, say: Say): string {
  if (inspectText(name, { maxCodePoints: 60 }) !== undefined)
    say({
      path: [...path, "name"],
      message: "this name cannot be shown as it is",
      remedy: "use up to 60 visible characters: approvers read it on every card",
    });
  return name;
}
