/**
 * JSON description of a deployment under test: agents, approvers, further actions. Omitted keys have the defaults of the simplest
 * deployment. Unknown keys are refused.
 */
import { z } from "zod";
import { authenticationMethods, deliveryModes } from "../packages/server/src/domain/client/client.ts";

const algorithm = z.enum(["ES256", "PS256", "RS256", "EdDSA"]);

const agent = z.strictObject({
  id: z.string(),
  /** Name on the card. Default: the id. */
  name: z.string().optional(),
  /** Default: all declared types. */
  types: z.array(z.string()).optional(),
  method: z.enum(authenticationMethods).default("client_secret_basic"),
  /** Signature algorithm of its assertions, requests and proofs. */
  algorithm: algorithm.default("ES256"),
  /** Accept only `algorithm` for its assertions. */
  one_algorithm: z.boolean().default(false),
  delivery: z
    .strictObject({ mode: z.enum(deliveryModes), endpoint: z.string().optional() })
    .default({ mode: "poll" }),
  /** It signs every request, with `algorithm`. */
  signs_requests: z.boolean().default(false),
  user_code: z.boolean().default(false),
  binding: z.enum(["dpop", "mtls"]).optional(),
});

export const planShape = z.strictObject({
  /** Listen with TLS, with a certificate of an authority created for this deployment. */
  https: z.boolean().default(false),
  /** Use RSA keys in all certificates: FAPI 1.0 has no TLS cipher suites for other keys, and some suites support no others. */
  rsa: z.boolean().default(false),
  /** Default: a free port. */
  port: z.int().min(1).max(65_535).optional(),
  /** Directory of configuration, key and database. Default: a temporary one, removed at the end. */
  folder: z.string().optional(),
  /** Further action scopes, at level `session`. */
  scopes: z.array(z.string()).default([]),
  /** Polling interval, in seconds. */
  poll_interval: z.int().min(1).max(60).default(5),
  /** Private address ranges, besides loopback, that notification endpoints and key URLs may use. */
  allow_private: z.array(z.string()).default([]),
  /** PEM: additional certificate authorities of agents' endpoints. */
  trust: z.string().optional(),
  /** Issuers of login_hint_tokens, with their public keys (a JWK Set). */
  login_hint_issuers: z
    .record(z.string(), z.looseObject({ keys: z.array(z.record(z.string(), z.unknown())) }))
    .default({}),
  /** Enable user codes. */
  user_codes: z.boolean().default(false),
  /** Enable dynamic registration with an initial access token. */
  registration: z.boolean().default(false),
  /** Require a server nonce in DPoP proofs. */
  dpop_nonce: z.boolean().default(false),
  /** Lifetime of requests for the further scopes, in seconds. */
  lifetime: z.int().min(10).max(600).default(120),
  approvers: z
    .array(
      z.strictObject({ email: z.string(), name: z.string().optional(), user_code: z.string().optional() }),
    )
    .default([{ email: "ada@example.com", name: "Ada" }]),
  /** Address of the headless approver. Default: the first approver. */
  headless: z.string().optional(),
  /** Release each denial of the headless approver at once, so that the action can be requested again. */
  reopen_denials: z.boolean().default(false),
  agents: z.array(agent).default([]),
});

export type AgentPlan = z.input<typeof agent>;
export type FullAgentPlan = z.output<typeof agent>;
export type Plan = z.input<typeof planShape>;
export type FullPlan = z.output<typeof planShape>;

export function readAgentPlan(plan: AgentPlan): FullAgentPlan {
  return agent.parse(plan);
}

/** Parses a plan. Throws an error that lists all problems. */
export function readPlan(plan: unknown): FullPlan {
  const read = planShape.safeParse(plan);
  if (read.success) return read.data;
  throw new Error(`the plan cannot be used\n${z.prettifyError(read.error)}`);
}
