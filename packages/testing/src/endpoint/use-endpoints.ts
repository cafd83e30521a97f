/**
 * The protocol endpoints as their factories build them, for tests of what a request must look like and how each invalid one
 * is refused. Tests that restart the server, run jobs or read pages use `useDeployment`.
 */
import { newId } from "../../../server/src/domain/id.ts";
import type { Approver } from "../../../server/src/domain/people/approver.ts";
import { createBackchannelAuthenticationHandler } from "../../../server/src/http/oauth/endpoint/backchannel-authentication.ts";
import { createIntrospectionHandler } from "../../../server/src/http/oauth/endpoint/introspection.ts";
import { createRegistrationHandlers } from "../../../server/src/http/oauth/endpoint/registration.ts";
import { createRevocationHandler } from "../../../server/src/http/oauth/endpoint/revocation.ts";
import { createSpendHandler } from "../../../server/src/http/oauth/endpoint/spend.ts";
import { createTokenHandler } from "../../../server/src/http/oauth/endpoint/token.ts";
import type { EndpointHandler } from "../../../server/src/http/route.ts";
import { absent } from "../../../server/src/store/store.ts";
import { addAgent, addApi, type NewAgent } from "../../../server/src/usecase/client/client-lifecycle.ts";
import { invite } from "../../../server/src/usecase/people/enrol.ts";
import { decide } from "../../../server/src/usecase/request/decide.ts";
import { type HttpReply, toBasicAuth, toRequestId } from "../server/deployment.ts";
import type { ConfigEdit } from "../server/edit-config.ts";
import { refund } from "../server/sample-config.ts";
import { useResource } from "../server/use-resource.ts";
import { callEndpoint, type EndpointCall } from "./call-endpoint.ts";
import { type EndpointDeps, openEndpointDeps } from "./endpoint-deps.ts";

export type ClientSecret = { readonly id: string; readonly secret: string };
type Form = Readonly<Record<string, string>>;

export type Endpoints = {
  readonly deps: EndpointDeps;
  /** Milliseconds since the epoch; tests add to it. */
  readonly clock: { now: number };
  /** `agent-1`, which authenticates with `client_secret_basic`, and the API `refunds-api`. */
  readonly agent: ClientSecret;
  readonly api: ClientSecret;
  /** Calls the handler of this path with a form, or with a body of the content type in `headers`. */
  readonly post: (path: EndpointPath, form: Form | string, headers?: Form) => Promise<HttpReply>;
  /** Calls the handler of this path with any request. */
  readonly call: (path: EndpointPath, call: EndpointCall) => Promise<HttpReply>;
  /** Sends an authentication request of `agent-1` for ada, unless changed; every one is for another order. */
  readonly ask: (
    changed?: Readonly<Record<string, string | undefined>>,
    headers?: Form,
  ) => Promise<HttpReply>;
  /** Sends such a request and returns its `auth_req_id`. */
  readonly askPending: (by?: ClientSecret) => Promise<string>;
  /** Approves the request of this `auth_req_id` as ada. */
  readonly approve: (authReqId: string) => Promise<void>;
  /** Adds an agent for the action type `refund`. The secret is empty if the agent has none. */
  readonly addAgent: (agent: Omit<NewAgent, "name" | "types"> & Partial<NewAgent>) => Promise<ClientSecret>;
  /** Adds an approver. */
  readonly addApprover: (email: string) => Promise<Approver>;
};

export type EndpointPath =
  | "/bc-authorize"
  | "/introspect"
  | "/oauth/token"
  | "/register"
  | "/revoke"
  | "/spend";

export type UseEndpointsOptions = {
  /** An edit of `sampleConfig`. */
  readonly config?: ConfigEdit;
  /** Adds what every test needs. A `before` hook of the test file could run too early: hooks of a file do not wait. */
  readonly setUp?: (endpoints: Endpoints) => Promise<void>;
};

/** Opens the endpoints before the tests, with the approver ada, and closes their store after them. */
export function useEndpoints({ config, setUp }: UseEndpointsOptions = {}): Endpoints {
  return useResource(
    async () => {
      const endpoints = await openEndpoints(config);
      await setUp?.(endpoints);
      return endpoints;
    },
    ({ deps }) => deps.store.close(),
  );
}

async function openEndpoints(config: ConfigEdit | undefined): Promise<Endpoints> {
  const clock = { now: Date.parse("2026-11-22T14:00:00Z") };
  const deps = await openEndpointDeps({ config, clock: () => clock.now });
  const { store } = deps;
  const handlers: Readonly<Record<EndpointPath, EndpointHandler>> = {
    "/bc-authorize": createBackchannelAuthenticationHandler(deps),
    "/introspect": createIntrospectionHandler(deps),
    "/oauth/token": createTokenHandler(deps),
    "/register": createRegistrationHandlers(deps).create,
    "/revoke": createRevocationHandler(deps),
    "/spend": createSpendHandler(deps),
  };
  const call: Endpoints["call"] = (path, init) => callEndpoint(handlers[path], init);
  const post: Endpoints["post"] = (path, form, headers = {}) => {
    const body = typeof form === "string" ? form : new URLSearchParams(form).toString();
    return call(path, {
      body,
      headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
    });
  };

  const add: Endpoints["addAgent"] = async (agent) => {
    const added = await addAgent(store, { name: agent.id, types: ["refund"], ...agent });
    if ("refused" in added) throw new Error(`agent ${agent.id} already exists`);
    return { id: agent.id, secret: added.secret ?? "" };
  };
  const addApprover = async (email: string) =>
    (await invite(deps, email, email.split("@")[0] ?? email)).approver;

  const types = [...deps.policy.current().actions.keys()];
  const agent = await add({ id: "agent-1", types, credential: { method: "client_secret_basic" } });
  const apiAdded = await addApi(store, "refunds-api", "refunds");
  if ("refused" in apiAdded) throw new Error("the store is not empty");
  const ada = await addApprover("ada@example.com");

  let orders = 0;
  const ask: Endpoints["ask"] = (changed = {}, headers = {}) => {
    orders += 1;
    const form = {
      scope: "openid",
      login_hint: "ada@example.com",
      authorization_details: JSON.stringify([{ ...refund, order: `E-${orders}` }]),
      ...changed,
    };
    const set = Object.entries(form).filter((pair): pair is [string, string] => pair[1] !== undefined);
    return post("/bc-authorize", Object.fromEntries(set), { ...toBasicAuth(agent), ...headers });
  };

  return {
    deps,
    clock,
    agent,
    api: { id: "refunds-api", secret: apiAdded.secret },
    post,
    call,
    ask,
    askPending: async (by = agent) => {
      const reply = await ask({}, toBasicAuth(by));
      if (reply.status !== 200) throw new Error(JSON.stringify(reply.body));
      return reply.body.auth_req_id;
    },
    approve: async (authReqId) => {
      const requestId = toRequestId(authReqId);
      const session = {
        id: newId("ses", clock.now),
        approver: ada.id,
        method: "passkey",
        amr: ["hwk", "user"],
        acr: "passkey",
        authenticatedAt: clock.now,
        expiresAt: clock.now + 60_000,
      };
      await store.commitUnlogged({ writes: [{ put: "session", record: session, ifVersion: absent }] });
      const { cardHash } = (await store.read("request", requestId))!.record;
      const decided = await decide(deps, { requestId, session, verdict: "approve", cardHash });
      if ("refused" in decided) throw new Error(decided.refused);
    },
    addAgent: add,
    addApprover,
  };
}
