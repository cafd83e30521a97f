/**
 * `POST /register` (RFC 7591 §3), and `GET`, `PUT`, `DELETE /register/{client_id}` (RFC 7592 §2): dynamic registration of
 * agents. Each call needs an initial access token (create) or the registration access token (read, update, remove).
 */
import { type JsonObject, parseJson } from "@countersign/protocol";
import type { Settings } from "../../../config/sections.ts";
import { toClientMetadata } from "../../../domain/client/metadata.ts";
import type { MetadataProblem } from "../../../domain/client/problem.ts";
import { toTypeMetadata } from "../../../domain/client/type-metadata.ts";
import {
  getRegisteredClient,
  type RegisterDeps,
  type RegisteredClient,
  type RegisterRefused,
  register,
  removeRegisteredClient,
  updateRegisteredClient,
} from "../../../usecase/client/register.ts";
import type { EndpointHandler } from "../../route.ts";
import { readBody } from "../../transport/body.ts";
import type { ProtocolRequest } from "../../transport/protocol-request.ts";
import { createJsonResponse, type ProtocolResponse, securityHeaders } from "../../transport/response.ts";
import { OAuthError, type OAuthErrorCode } from "../oauth-error.ts";

/** Members with an error code of their own (RFC 7591 §3.2.2). */
const memberErrorCodes: Readonly<Record<string, OAuthErrorCode>> = {
  redirect_uris: "invalid_redirect_uri",
  software_statement: "unapproved_software_statement",
};

export type RegistrationDeps = RegisterDeps & { readonly settings: Pick<Settings, "issuer"> };

/** Returns the four handlers of dynamic client registration and its management. */
export function createRegistrationHandlers(
  deps: RegistrationDeps,
): Readonly<Record<"create" | "read" | "update" | "remove", EndpointHandler>> {
  return {
    create: async (request) => {
      const token = readToken(request);
      const result = await register(deps, token, await readMetadata(request));
      if ("refused" in result) throw toOAuthError(result);
      return toClientInformation(deps, result, 201);
    },
    read: async (request, _, id) => {
      const result = await getRegisteredClient(deps, id, readToken(request));
      if ("refused" in result) throw toOAuthError(result);
      return toClientInformation(deps, result, 200);
    },
    update: async (request, _, id) => {
      const token = readToken(request);
      const result = await updateRegisteredClient(deps, id, token, await readMetadata(request));
      if ("refused" in result) throw toOAuthError(result);
      return toClientInformation(deps, result, 200);
    },
    remove: async (request, _, id) => {
      const result = await removeRegisteredClient(deps, id, readToken(request));
      if (result !== "done") throw toOAuthError(result);
      return { status: 204, headers: { "cache-control": "no-store", ...securityHeaders }, body: "" };
    },
  };
}

/** Returns the bearer token (RFC 6750 §2.1). Throws `invalid_token` (401) if it is missing or malformed. */
function readToken(request: ProtocolRequest): string {
  const authorization = request.header("authorization") ?? "";
  const token = /^bearer +([A-Za-z0-9._~+/-]{1,512}=*)$/i.exec(authorization)?.[1];
  if (token !== undefined) return token;
  throw new OAuthError("invalid_token", "an initial or registration access token is required", {
    status: 401,
    headers: { "www-authenticate": 'Bearer realm="countersign"' },
  });
}

async function readMetadata(request: ProtocolRequest): Promise<JsonObject> {
  const parsed = parseJson(await readBody(request, "application/json"));
  if ("refused" in parsed)
    throw new OAuthError(
      "invalid_client_metadata",
      `the body cannot be read: ${parsed.refused} at ${parsed.path}`,
    );
  const { value } = parsed;
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new OAuthError("invalid_client_metadata", "the body must be a JSON object");
  return value as JsonObject;
}

/** Encodes client information (RFC 7591 §3.2.1, RFC 7592 §3). A secret is returned once, on creation; only its hash is stored. */
function toClientInformation(
  { settings, policy }: RegistrationDeps,
  { agent, token, secret }: RegisteredClient,
  status: 200 | 201,
): ProtocolResponse {
  const body = {
    client_id: agent.id,
    client_id_issued_at: Math.floor(agent.createdAt / 1000),
    ...(secret !== undefined && { client_secret: secret, client_secret_expires_at: 0 }),
    registration_access_token: token,
    registration_client_uri: `${settings.issuer}/register/${agent.id}`,
    ...toClientMetadata(agent),
    ...toTypeMetadata(agent.types, policy.current().actions),
  };
  return createJsonResponse(body, { status });
}

function toOAuthError(refusal: RegisterRefused): OAuthError {
  switch (refusal.refused) {
    case "unknown_token":
      return new OAuthError(
        "invalid_token",
        "this token is unknown, used up, expired, or not valid for this request",
        {
          status: 401,
          headers: { "www-authenticate": 'Bearer realm="countersign", error="invalid_token"' },
        },
      );
    case "paused":
      return new OAuthError("access_denied", "this agent is paused", { status: 403 });
    case "metadata": {
      const [first] = refusal.problems;
      return new OAuthError(
        memberErrorCodes[first?.member ?? ""] ?? "invalid_client_metadata",
        refusal.problems.map(describeProblem).join("; "),
      );
    }
  }
}

function describeProblem({ member, message, remedy }: MetadataProblem): string {
  // No quotation marks in an `error_description` (RFC 6749 §5.2).
  return `${member}: ${message} (${remedy})`.replaceAll('"', "'");
}
