/**
 * Environment of scenarios: a harness whose server runs in this process, so that its clock can be moved, and functions for each
 * participant. All calls use HTTP. A response with status 500 or above fails the scenario.
 */

import assert from "node:assert/strict";
import { after, mock } from "node:test";
import { cibaGrantType } from "@countersign/protocol";
import type { JWTHeaderParameters, JWTPayload } from "jose";
import { minFormAgeMs } from "../packages/server/src/http/page/session.ts";
import type { Call, CallResult } from "./call.ts";
import type { Credentials } from "./credential.ts";
import { type Harness, type HarnessOptions, openHarness } from "./harness.ts";
import type { AgentPlan, Plan } from "./plan.ts";
import { basic, type Proof, prove, requestClaims, signAs } from "./proof.ts";

/** Form parameters; undefined removes one. */
export type Form = Readonly<Record<string, string | undefined>>;

/** Changes to a valid request. */
export type RequestStyle = {
  /** Replaces the agent's authentication. */
  readonly proof?: Proof;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Claims of the client assertion. */
  readonly assertion?: JWTPayload;
  /** Claims of the signed request, for agents that sign; undefined removes one. */
  readonly request?: Readonly<Record<string, unknown>>;
  /** Header members of the signed request. */
  readonly header?: Partial<JWTHeaderParameters>;
  /** The key that signs the request. Default: the agent's. */
  readonly signer?: Credentials;
  /** Send the request unsigned, although the agent is registered to sign. */
  readonly unsigned?: boolean;
};

export type TestServer = Omit<Harness, "close"> & {
  /** Returns an agent of the plan by its id. */
  readonly agent: (id: string) => Credentials;
  /** Returns the agent's authentication. */
  readonly proofOf: (agent: Credentials) => Promise<Proof>;
  /** Adds an agent. */
  readonly admit: (plan: AgentPlan) => Promise<Credentials>;
  readonly post: (path: string, form: Form | string, more?: Call) => Promise<CallResult>;
  /** The server's metadata. */
  readonly metadata: () => Promise<CallResult["body"]>;
  /** Returns a refund of a new order. */
  readonly refund: (changed?: Readonly<Record<string, unknown>>) => string;
  /** Requests a refund from ada, with `changes`. */
  readonly ask: (agent: Credentials, changed?: Form, style?: RequestStyle) => Promise<CallResult>;
  /** Sends a request. Returns the auth_req_id; fails if it is refused. */
  readonly asked: (agent: Credentials, changed?: Form, style?: RequestStyle) => Promise<string>;
  readonly poll: (
    agent: Credentials,
    authReqId: string,
    changed?: Form,
    style?: RequestStyle,
  ) => Promise<CallResult>;
  readonly allow: (authReqId: string) => Promise<void>;
  readonly deny: (authReqId: string, reason?: string) => Promise<void>;
  /** Requests, approves and redeems. Returns the token response. */
  readonly approved: (agent: Credentials, changed?: Form, style?: RequestStyle) => Promise<CallResult>;
  /** Authenticates as the API of this name. */
  readonly introspect: (
    api: string,
    token: string | undefined,
    headers?: Call["headers"],
  ) => Promise<CallResult>;
  /** Moves the clock of this process. */
  readonly advanceClock: (ms: number) => void;
};

let open = 0;

/** Starts a server; closed after the file's tests. Without agents in the plan there is one, `agent`, with a secret. */
export async function openTestServer(
  plan: Plan = {},
  options: Pick<HarnessOptions, "certificates"> = {},
): Promise<TestServer> {
  // From here on the clock is stopped; scenarios move it.
  if (open === 0) mock.timers.enable({ apis: ["Date"], now: Date.now() });
  open += 1;
  const agents = [{ id: "agent" }, ...(plan.agents ?? [])];
  const harness = await openHarness({ ...plan, agents }, { ...options, inProcess: true });
  // The headless approver has opened its page; forms of a page are refused in its first moments.
  mock.timers.tick(minFormAgeMs);
  after(async () => {
    await harness.close();
    open -= 1;
    if (open === 0) mock.timers.reset();
  });
  let orders = 0;

  const post: TestServer["post"] = async (path, form, more = {}) => {
    const body = typeof form === "string" ? form : encode(form);
    const headers = { "content-type": "application/x-www-form-urlencoded", ...more.headers };
    const answer = await harness.call(path, { method: "POST", ...more, body, headers });
    assert.ok(answer.status < 500, `${path} answered ${answer.status}: ${answer.text}`);
    return answer;
  };
  const agent = (id: string): Credentials => {
    const found = harness.agents.get(id);
    if (!found) throw new Error(`the plan has no agent ${id}`);
    return found;
  };
  const refund: TestServer["refund"] = (changed = {}) => {
    orders += 1;
    const action = { type: "refund", order: `R-${orders}`, amount: "120.00", currency: "EUR", ...changed };
    return JSON.stringify([action]);
  };
  const send = async (
    path: string,
    by: Credentials,
    form: Form,
    { proof, headers, assertion }: RequestStyle,
  ) => {
    const own = proof ?? (await prove(by, harness.issuer, assertion));
    return await post(
      path,
      { ...form, ...own.form },
      {
        headers: { ...own.headers, ...headers },
        certificate: own.certificate,
      },
    );
  };
  const ask: TestServer["ask"] = async (by, changed = {}, style = {}) => {
    const form = { scope: "openid", login_hint: "ada@example.com", ...changed };
    const said = "scope" in changed || "authorization_details" in changed || "request" in changed;
    const parameters = said ? form : { ...form, authorization_details: refund() };
    const signs = harness.plan.agents.find(({ id }) => id === by.id)?.signs_requests;
    return await send(
      "/bc-authorize",
      by,
      signs && !style.unsigned ? await signed(by, parameters, style) : parameters,
      style,
    );
  };
  /** Puts all parameters into one JWT (CIBA §7.1.1). */
  const signed = async (
    by: Credentials,
    form: Form,
    { request = {}, header = {}, signer = by }: RequestStyle,
  ) => {
    const given = Object.entries(form).filter(([, value]) => value !== undefined);
    const claims = requestClaims(by.id, harness.issuer, Object.fromEntries(given), request);
    return { request: await signAs(signer, claims, header) };
  };
  const asked: TestServer["asked"] = async (by, changed, style) => {
    const answer = await ask(by, changed, style);
    assert.equal(answer.status, 200, answer.text);
    return answer.body.auth_req_id;
  };
  const poll: TestServer["poll"] = (by, authReqId, changed = {}, style = {}) =>
    send("/oauth/token", by, { grant_type: cibaGrantType, auth_req_id: authReqId, ...changed }, style);
  const decide = async (authReqId: string, action: string, reason?: string) => {
    const said = await harness.headless.decide(authReqId, action, reason);
    assert.equal(said.status, 200, JSON.stringify(said.body));
  };
  const allow: TestServer["allow"] = (authReqId) => decide(authReqId, "allow");

  return {
    ...harness,
    agent,
    proofOf: (by) => prove(by, harness.issuer),
    admit: harness.addAgent,
    post,
    metadata: async () => (await harness.call("/.well-known/openid-configuration")).body,
    refund,
    ask,
    asked,
    poll,
    allow,
    deny: (authReqId, reason) => decide(authReqId, "deny", reason),
    approved: async (by, changed, style) => {
      const authReqId = await asked(by, changed, style);
      await allow(authReqId);
      const answer = await poll(by, authReqId, {}, style);
      assert.equal(answer.status, 200, answer.text);
      return answer;
    },
    introspect: (api, token, headers) => {
      const { id, secret } = harness.apis.get(api)!;
      return post("/introspect", { token }, { headers: headers ?? basic(id, secret) });
    },
    advanceClock: (ms) => mock.timers.setTime(Date.now() + ms),
  };
}

export function encode(form: Form): string {
  const given = Object.entries(form).filter((pair): pair is [string, string] => pair[1] !== undefined);
  return new URLSearchParams(given).toString();
}

/** Returns the members of an error without its description. */
export function refusal({ status, body }: CallResult): readonly [number, string] {
  return [status, body?.error];
}
