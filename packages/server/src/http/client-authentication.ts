/**
 * Who calls: agents and APIs prove themselves here, by the one method that they are registered for (RFC 6749 §2.3,
 * RFC 7523). Whatever is wrong, the answer is the same `invalid_client`; `WWW-Authenticate` only where Basic was tried.
 */
import { hash, timingSafeEqual } from "node:crypto";
import { decodeJwt } from "jose";
import type { Agent, Api } from "../client/client.ts";
import type { AgentKeys } from "../keys/agent-key.ts";
import { absent, type Held, type Store } from "../store/store.ts";
import type { Form } from "./form.ts";
import { OAuthError } from "./oauth-error.ts";
import type { Peer } from "./peer.ts";

type Presented =
  | {
      readonly method: "client_secret_basic" | "client_secret_post";
      readonly id: string;
      readonly secret: string;
    }
  | { readonly method: "private_key_jwt"; readonly id: string; readonly assertion: string };

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/** Seconds. An assertion is made for one request; a long-lived one is a standing credential in disguise. */
const longestAssertion = 600;
const clockTolerance = 30;

export type AuthenticationGround = {
  readonly store: Store;
  readonly agentKeys: AgentKeys;
  /** What an assertion may name as its audience: the issuer, and this server's endpoints (RFC 7523 §3). */
  readonly audiences: ReadonlySet<string>;
};

export async function authenticateAgent(
  ground: AuthenticationGround,
  request: Request,
  form: Form,
  _peer: Peer,
): Promise<Held<"agent">> {
  const presented = readPresented(request, form);
  const held = await ground.store.read("agent", presented.id);
  if (!held || !(await proves(ground, presented, held.record))) throw invalidClient(presented.method);
  return held;
}

export async function authenticateApi(
  { store }: AuthenticationGround,
  request: Request,
  form: Form,
): Promise<Api> {
  const presented = readPresented(request, form);
  const held = await store.read("api", presented.id);
  const proved =
    held && presented.method !== "private_key_jwt" && matches(presented.secret, held.record.secretHash);
  if (!proved) throw invalidClient(presented.method);
  return held.record;
}

function readPresented(request: Request, form: Form): Presented {
  const authorization = request.headers.get("authorization");
  const secret = form.get("client_secret");
  const assertion = form.get("client_assertion");
  const id = form.get("client_id");
  if ([authorization ?? undefined, secret, assertion].filter((one) => one !== undefined).length > 1)
    throw new OAuthError("invalid_request", "use one method of client authentication");
  if (authorization !== null) return readBasic(authorization, id);
  if (secret !== undefined && id !== undefined) return { method: "client_secret_post", id, secret };
  if (assertion !== undefined) {
    if (form.get("client_assertion_type") !== assertionType)
      throw new OAuthError("invalid_request", "client_assertion_type is missing or not known");
    const issuer = issuerOf(assertion);
    if (issuer === undefined || (id !== undefined && id !== issuer)) throw invalidClient("private_key_jwt");
    return { method: "private_key_jwt", id: issuer, assertion };
  }
  throw new OAuthError("invalid_client", "client authentication is missing", { status: 401 });
}

/** Both halves are form-encoded before they are joined (RFC 6749 §2.3.1); real clients encode even a hyphen. */
function readBasic(authorization: string, id: string | undefined): Presented {
  const encoded = /^basic ([a-z0-9+/=_-]+)$/i.exec(authorization)?.[1];
  const pair = encoded === undefined ? "" : Buffer.from(encoded, "base64").toString("utf8");
  const colon = pair.indexOf(":");
  if (colon < 0) throw invalidClient("client_secret_basic");
  try {
    const [own = "", secret = ""] = [pair.slice(0, colon), pair.slice(colon + 1)].map((half) =>
      decodeURIComponent(half.replaceAll("+", " ")),
    );
    if (id !== undefined && id !== own) throw invalidClient("client_secret_basic");
    return { method: "client_secret_basic", id: own, secret };
  } catch {
    throw invalidClient("client_secret_basic");
  }
}

function issuerOf(assertion: string): string | undefined {
  try {
    const { iss } = decodeJwt<{ iss?: unknown }>(assertion);
    return typeof iss === "string" ? iss : undefined;
  } catch {
    return undefined;
  }
}

async function proves(ground: AuthenticationGround, presented: Presented, agent: Agent): Promise<boolean> {
  const { credential } = agent;
  if (credential.method === "private_key_jwt")
    return (
      presented.method === "private_key_jwt" && (await provesByAssertion(ground, agent, presented.assertion))
    );
  return (
    presented.method === credential.method &&
    "secret" in presented &&
    "secretHash" in credential &&
    matches(presented.secret, credential.secretHash)
  );
}

function matches(secret: string, secretHash: string): boolean {
  const given = hash("sha256", secret, "buffer");
  const expected = Buffer.from(secretHash, "base64url");
  return given.length === expected.length && timingSafeEqual(given, expected);
}

async function provesByAssertion(
  { store, audiences, agentKeys }: AuthenticationGround,
  agent: Agent,
  assertion: string,
): Promise<boolean> {
  const { id } = agent;
  const verified = await agentKeys.verify(agent, assertion, {
    issuer: id,
    subject: id,
    requiredClaims: ["aud", "exp", "jti"],
    clockTolerance,
  });
  if ("refused" in verified) return false;
  const { payload, protectedHeader } = verified;
  if (!isAssertionType(protectedHeader.typ) || !isForUs(payload.aud, audiences)) return false;
  const { jti, exp = 0 } = payload;
  if (typeof jti !== "string" || jti === "") return false;
  const now = store.now() / 1000;
  if (exp > now + longestAssertion + clockTolerance) return false;
  if ((payload.iat ?? now) < now - longestAssertion - clockTolerance) return false;
  // The first to keep this assertion's id is the one who may use it; everyone after is a replay, also after a restart.
  const record = {
    id: hash("sha256", JSON.stringify(["assertion", id, jti]), "base64url"),
    // NumericDate may have a fraction (RFC 7519 §2).
    expiresAt: Math.ceil((exp + 2 * clockTolerance) * 1000),
  };
  return (await store.pass({ writes: [{ put: "replay", record, expect: absent }] })) === "committed";
}

/** What was signed to be something else (a request object, a DPoP proof) is no assertion. Most clients say nothing. */
function isAssertionType(typ: string | undefined): boolean {
  const type = typ?.toLowerCase().replace(/^application\//, "");
  return type === undefined || type === "jwt" || type === "client-authentication+jwt";
}

/** Every audience named must be one of ours: a list that also names someone else could be replayed there, or from there. */
function isForUs(aud: unknown, audiences: ReadonlySet<string>): boolean {
  const named: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  return (
    named.length > 0 && named.every((one) => typeof one === "string" && audiences.has(one.replace(/\/$/, "")))
  );
}

function invalidClient(method: Presented["method"]): OAuthError {
  const description = "client authentication failed";
  if (method !== "client_secret_basic") return new OAuthError("invalid_client", description, { status: 401 });
  const headers = { "www-authenticate": 'Basic realm="countersign"' };
  return new OAuthError("invalid_client", description, { status: 401, headers });
}
