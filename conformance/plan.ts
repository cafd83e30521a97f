/**
 * What a deployment under test consists of, as JSON describes it: which agents, which approvers, which further actions.
 * Whatever is not said is as for the simplest one. Unknown keys are refused, so that nobody believes that they did
 * something.
 */
import { z } from "zod";
import { authenticationMethods, deliveryModes } from "../packages/server/src/domain/client/client.ts";

const algorithm = z.enum(["ES256", "PS256", "RS256", "EdDSA"]);

const agent = z.strictObject({
  id: z.string(),
  /** What the card calls it; the id unless given. */
  name: z.string().optional(),
  /** All that are declared, unless given. */
  types: z.array(z.string()).optional(),
  method: z.enum(authenticationMethods).default("client_secret_basic"),
  /** What its keys are for; it signs assertions, requests and proofs with it. */
  algorithm: algorithm.default("ES256"),
  /** Holds its assertions to `algorithm` alone. */
  one_algorithm: z.boolean().default(false),
  delivery: z
    .strictObject({ mode: z.enum(deliveryModes), endpoint: z.string().optional() })
    .default({ mode: "poll" }),
  /** Each of its requests is signed, with `algorithm`. */
  signs_requests: z.boolean().default(false),
  user_code: z.boolean().default(false),
  binding: z.enum(["dpop", "mtls"]).optional(),
});

export const planShape = z.strictObject({
  /** Listens with TLS, with a certificate of an authority made for this one. */
  https: z.boolean().default(false),
  /** All certificates have RSA keys: FAPI 1.0 knows no TLS suites for others, and some suites read no others. */
  rsa: z.boolean().default(false),
  /** Whichever is free, unless given. */
  port: z.int().min(1).max(65_535).optional(),
  /** Where configuration, key and database are; a folder that goes when it ends, unless given. */
  folder: z.string().optional(),
  /** Further scopes that are actions, at level `session`. */
  scopes: z.array(z.string()).default([]),
  /** Seconds between polls. */
  poll_interval: z.int().min(1).max(60).default(5),
  /** Where, beside this machine, agents' notification endpoints and keys may be although it is no public address. */
  allow_private: z.array(z.string()).default([]),
  /** PEM: authorities of agents' endpoints, beside the one made for this deployment and the usual ones. */
  trust: z.string().optional(),
  /** Who may sign a login_hint_token, by issuer, and their public keys (a JWK Set). */
  login_hint_issuers: z
    .record(z.string(), z.looseObject({ keys: z.array(z.record(z.string(), z.unknown())) }))
    .default({}),
  /** Agents that are registered for it send the approver's user code. */
  user_codes: z.boolean().default(false),
  /** Agents can register themselves, each with an allowance of the operator's. */
  registration: z.boolean().default(false),
  /** A nonce of the server's in each DPoP proof. */
  dpop_nonce: z.boolean().default(false),
  /** Seconds that requests for the further scopes live. */
  lifetime: z.int().min(10).max(600).default(120),
  approvers: z
    .array(
      z.strictObject({ email: z.string(), name: z.string().optional(), user_code: z.string().optional() }),
    )
    .default([{ email: "ada@example.com", name: "Ada" }]),
  /** Who the headless approver is: the first approver, unless given. */
  headless: z.string().optional(),
  /** What was denied may be asked for again at once: the operator re-opens it after each denial of the headless approver. */
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

/** Throws with every place that does not fit. */
export function readPlan(plan: unknown): FullPlan {
  const read = planShape.safeParse(plan);
  if (read.success) return read.data;
  throw new Error(`the plan cannot be used\n${z.prettifyError(read.error)}`);
}
