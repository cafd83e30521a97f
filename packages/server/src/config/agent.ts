/** Reads the declared agents: client metadata with the keys of the file, and secrets only as hashes. */
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
import { toTypeMetadata } from "../domain/client/type-metadata.ts";
import type { Path } from "./document.ts";
import { agentSchema, type SectionProblem, validate } from "./schema.ts";

export type DeclaredAgent = Omit<
  Agent,
  "id" | "credential" | "paused" | "createdAt" | "source" | "registration"
> & { readonly credential: DeclaredCredential };
/** `client_secret_jwt` is excluded: an HMAC needs the secret, and only its hash is declared. */
type DeclaredCredential = Exclude<Credential, { readonly method: "client_secret_jwt" }>;

type AgentSections = {
  readonly agents: { readonly [id: string]: unknown };
  readonly actions: { readonly [type: string]: unknown };
  readonly scopes: { readonly [scope: string]: unknown };
};
type AddProblem = (problem: SectionProblem) => void;

/** Reads each agent separately. `from` is the base of relative paths; `terms` holds the actions without problems. */
export function readAgents(
  { agents, actions, scopes }: AgentSections,
  policy: RegistrationPolicy,
  baseDir: string,
  addProblem: AddProblem,
): [string, DeclaredAgent][] {
  const { types } = policy;
  // A problem of an action is reported there, not again for each of its agents.
  const invalidTypes = [...Object.keys(actions), ...Object.keys(scopes)].filter((type) => !types.has(type));
  const declaredAgents: [string, DeclaredAgent][] = [];
  for (const [id, value] of Object.entries(agents)) {
    const path = ["agents", id];
    const section = validate(agentSchema, value, path, addProblem);
    if (!section) continue;
    const knownTypes = section.types.filter((type) => !invalidTypes.includes(type));
    const metadata =
      knownTypes.length > 0 && readMetadata(section, knownTypes, types, { path, baseDir, addProblem });
    if (!metadata) continue;
    const result = readRegistration(metadata, policy);
    if ("problems" in result)
      for (const { member, message, remedy } of result.problems)
        addProblem({ path: [...path, toConfigKey(member, section)], message, remedy });
    const credential =
      "proof" in result && readCredential(result.proof, section.secret_sha256, path, addProblem);
    if (!credential) continue;
    const { proof: _, ...registration } = result;
    declaredAgents.push([
      id,
      { name: checkName(section.name ?? id, path, addProblem), ...registration, credential },
    ]);
  }
  return declaredAgents;
}

type AgentSection = { readonly types: readonly string[]; readonly jwks_file?: string | undefined } & Readonly<
  Record<string, unknown>
>;

function readMetadata(
  section: AgentSection,
  knownTypes: readonly string[],
  types: ReadonlyMap<string, ActionPolicy>,
  {
    path,
    baseDir,
    addProblem,
  }: { readonly path: Path; readonly baseDir: string; readonly addProblem: AddProblem },
): JsonObject | undefined {
  const presentMembers = registrationMembers.filter((member) => section[member] !== undefined);
  // Reject YAML values that JSON cannot express.
  const parsed = parseJson(
    JSON.stringify(Object.fromEntries(presentMembers.map((member) => [member, section[member]]))),
  );
  if ("refused" in parsed) {
    addProblem({
      path,
      message: `the value cannot be expressed in JSON (${parsed.path})`,
      remedy: "write integers, or strings",
    });
    return undefined;
  }
  const metadata: { [member: string]: Json } = {
    ...(parsed.value as JsonObject),
    ...toTypeMetadata(knownTypes, types),
  };
  if (section.jwks_file === undefined) return metadata;
  const at = [...path, "jwks_file"];
  if (metadata.jwks !== undefined) {
    addProblem({ path: at, message: "jwks and jwks_file exclude each other", remedy: "remove one" });
    return undefined;
  }
  try {
    const jwks = parseJson(readFileSync(resolve(baseDir, section.jwks_file), "utf8"));
    if ("value" in jwks) return { ...metadata, jwks: jwks.value };
    addProblem({ path: at, message: "the file cannot be read as JSON", remedy: "put a JWK Set into it" });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const message = code === "ENOENT" ? "the file does not exist" : `the file cannot be read (${code})`;
    addProblem({ path: at, message, remedy: "name the file with the agent's public keys" });
  }
  return undefined;
}

/** Returns the configuration key that a metadata member comes from. */
function toConfigKey(member: string, section: AgentSection): string {
  if (member === "authorization_details_types" || member === "scope") return "types";
  return member === "jwks" && section.jwks_file !== undefined ? "jwks_file" : member;
}

function readCredential(
  proof: ClientAuthMethod,
  hash: string | undefined,
  path: Path,
  addProblem: AddProblem,
): DeclaredCredential | undefined {
  const { method } = proof;
  const needsHash = method === "client_secret_basic" || method === "client_secret_post";
  if (method === "client_secret_jwt")
    addProblem({
      path: [...path, "token_endpoint_auth_method"],
      message: "client_secret_jwt needs the secret itself, which must not be in this file",
      remedy: "use private_key_jwt, or add this agent with countersign agent add",
    });
  else if (needsHash && hash === undefined)
    addProblem({
      path,
      message: `${method} needs the hash of a secret`,
      remedy: "give secret_sha256, as countersign agent hash-secret --new prints it",
    });
  else if (!needsHash && hash !== undefined)
    addProblem({
      path: [...path, "secret_sha256"],
      message: `${method} has no secret`,
      remedy: "leave it out",
    });
  else if (needsHash && hash !== undefined)
    return { method, secretHash: Buffer.from(hash, "hex").toString("base64url") };
  else return proof as DeclaredCredential;
  return undefined;
}

function checkName(name: string, path: Path, addProblem: AddProblem): string {
  if (inspectText(name, { maxCodePoints: 60 }) !== undefined)
    addProblem({
      path: [...path, "name"],
      message: "the name contains characters that cannot be displayed, or is too long",
      remedy: "use up to 60 visible characters: approvers read it on every card",
    });
  return name;
}
