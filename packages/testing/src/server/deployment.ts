/**
 * A whole server for a test: real store in a file of its own, real keys, real pages, a clock that the test moves.
 * Spoken to through `fetch` alone, as agents, APIs and browsers do.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cibaGrantType, type JsonObject } from "@countersign/protocol";
import {
  type Config,
  formatProblem,
  parseConfig,
  toRegistrationPolicy,
} from "../../../server/src/config/config.ts";
import { createSecretSeal } from "../../../server/src/crypto/seal.ts";
import { readRegistration } from "../../../server/src/domain/client/registration.ts";
import { createServer, type Server, type ServerOptions } from "../../../server/src/server.ts";
import { addAgent, addApi, createCredential } from "../../../server/src/usecase/client/client-lifecycle.ts";
import { invite } from "../../../server/src/usecase/people/enrol.ts";
import { createVirtualAuthenticator, type VirtualAuthenticator } from "../browser/virtual-authenticator.ts";

export const issuer = "http://localhost:4400";

const refundRule = (type: string, level: string) => `  ${type}:
    api: refunds
    schema:
      type: object
      additionalProperties: false
      required: [order, amount, currency]
      properties:
        order: { type: string, maxLength: 40 }
        amount: { type: string, pattern: '^[1-9][0-9]{0,6}\\.[0-9]{2}$' }
        currency: { type: string, enum: [USD, EUR] }
        quantity: { type: integer }
        reason: { type: string, maxLength: 500 }
    bound: [order, amount, currency, quantity]
    advisory: [reason]
    deny_by: [order]
    display:
      sentence: "Refund {amount} for order {order}"
      rows:
        - { label: Amount, field: amount, as: money, currency: currency }
        - { label: Order, field: order }
        - { label: Quantity, field: quantity, as: quantity }
        - { label: Reason given, field: reason }
    reversibility: irreversible
    approvers: { groups: [finance] }
    level: ${level}
    lifetime: { default: 120, max: 600 }
    token_lifetime: 60
`;

/** Rules with one action of each authentication level, an owner rule, and a scope that is an action. */
export const rules = `
issuer: ${issuer}
listen: { host: 127.0.0.1, port: 4400 }
store: ./countersign.db
key_file: ./countersign.key
limits: { max_pending_per_agent: 20, max_requests_per_hour: 10000 }
logging: { level: error }
passkeys: { rp_id: localhost, rp_name: Countersign }
groups: { finance: [ada@example.com, bob@example.com] }
apis:
  refunds: { audience: https://refunds.example }
  calendar: { audience: https://calendar.example }
actions:
${refundRule("refund", "session")}${refundRule("signed-refund", "passkey-signed")}${refundRule("fresh-refund", "passkey")}  promote:
    api: refunds
    schema:
      type: object
      additionalProperties: false
      required: [service]
      properties: { service: { type: string, maxLength: 40 } }
    bound: [service]
    display:
      sentence: "Promote {service}"
      rows: [{ label: Service, field: service }]
    reversibility: reversible
    approvers: { owner: { field: service, of: { foo: ada@example.com, bar: bob@example.com } } }
    level: session
scopes:
  calendar.clear:
    api: calendar
    sentence: Delete every event of the past year
    reversibility: irreversible
    approvers: { people: [ada@example.com] }
    level: session
`;

export const refund = { type: "refund", order: "A-1", amount: "10000.00", currency: "USD" };

export type HttpReply = {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, any>;
};

/** A person with a soft passkey and a browser's cookie. */
export type Person = {
  readonly approver: string;
  readonly passkey: VirtualAuthenticator;
  cookie: string;
  /** GETs a page as this person. */
  readonly get: (path: string) => Promise<Response>;
  /** Sends the page's form, with its hidden fields, as a browser would. */
  readonly decide: (
    requestId: string,
    verdict: "approve" | "deny",
    changed?: Readonly<Record<string, string>>,
  ) => Promise<Response>;
};

export type Deployment = {
  readonly server: Server;
  readonly file: string;
  readonly rootKey: Uint8Array;
  readonly faults: unknown[];
  /** Where each fault happened, as the operator's log would say it. */
  readonly faultPlaces: string[];
  /** Milliseconds since the epoch; add to it to let time pass. */
  readonly clock: { now: number };
  readonly request: (path: string, init?: RequestInit) => Promise<Response>;
  readonly post: (
    path: string,
    form: Readonly<Record<string, string>> | string,
    headers?: Readonly<Record<string, string>>,
  ) => Promise<HttpReply>;
  readonly agent: { readonly id: string; readonly secret: string };
  /**
   * Lets an agent of any kind in, by client metadata in wire spelling; without any, one that polls and has a secret for
   * Basic. It may ask for everything declared, unless the metadata says otherwise. The secret is empty where it has none.
   */
  readonly admit: (
    id: string,
    metadata?: JsonObject,
  ) => Promise<{ readonly id: string; readonly secret: string }>;
  readonly api: { readonly id: string; readonly secret: string };
  /** Asks as the agent; details default to `refund` for ada. */
  readonly ask: (
    changed?: Readonly<Record<string, string | undefined>>,
    headers?: Readonly<Record<string, string>>,
  ) => Promise<HttpReply>;
  readonly poll: (authReqId: string) => Promise<HttpReply>;
  readonly spend: (form: Readonly<Record<string, string>>) => Promise<HttpReply>;
  readonly enrol: (email: string) => Promise<Person>;
  /** Opens the same files again, as after a crash. The clock stays. */
  readonly restart: (rulesText?: string) => Promise<void>;
  readonly close: () => Promise<void>;
};

export const basic = ({ id, secret }: { readonly id: string; readonly secret: string }) => ({
  authorization: `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString("base64")}`,
});

export function requestIdOf(authReqId: string): string {
  return authReqId.split(".")[0] ?? "";
}

export async function deploy(
  rulesText = rules,
  options: Pick<ServerOptions, "metrics"> = {},
): Promise<Deployment> {
  const folder = mkdtempSync(join(tmpdir(), "countersign-"));
  const rootKey = new Uint8Array(randomBytes(32));
  const clock = { now: Date.parse("2026-11-22T14:00:00Z") };
  const faults: unknown[] = [];
  const faultPlaces: string[] = [];
  let origin = issuer;
  let config: Config;
  let server = await start(rulesText);

  function start(text: string): Promise<Server> {
    const read = parseConfig(text, join(folder, "countersign.yaml"));
    if ("problems" in read) throw new Error(read.problems.map(formatProblem).join("\n"));
    config = read.config;
    origin = config.issuer;
    const onFault = (fault: unknown, where: string) => {
      faults.push(fault);
      faultPlaces.push(where);
    };
    // The rounds are made by the tests, with `settle`.
    return createServer({
      config: read.config,
      rootKey,
      onFault,
      clock: () => clock.now,
      jobIntervalMs: 3_600_000,
      createStore: true,
      ...options,
    });
  }

  const request = async (path: string, init?: RequestInit) => server.fetch(new Request(origin + path, init));
  const post: Deployment["post"] = async (path, form, headers = {}) => {
    const body = typeof form === "string" ? form : new URLSearchParams(form).toString();
    const type = { "content-type": "application/x-www-form-urlencoded" };
    const response = await request(path, { method: "POST", headers: { ...type, ...headers }, body });
    return { status: response.status, headers: response.headers, body: await response.json() };
  };

  const admit: Deployment["admit"] = async (id, metadata = {}) => {
    const registration = readRegistration(metadata, toRegistrationPolicy(config));
    if ("problems" in registration) throw new Error(JSON.stringify(registration.problems));
    const { proof, ...rest } = registration;
    const name = typeof metadata.client_name === "string" ? metadata.client_name : id;
    const credential = createCredential(proof, createSecretSeal(rootKey).seal);
    const added = await addAgent(server.store, { id, name, ...rest, credential });
    if ("refused" in added) throw new Error(`agent ${id} already exists`);
    return { id, secret: added.secret ?? "" };
  };

  const types = ["refund", "signed-refund", "fresh-refund", "promote", "calendar.clear"];
  const agentAdded = await addAgent(server.store, {
    id: "agent-1",
    name: "Refund desk",
    types,
    credential: { method: "client_secret_basic" },
  });
  const apiAdded = await addApi(server.store, "refunds-api", "refunds");
  if ("refused" in agentAdded || "refused" in apiAdded) throw new Error("the store is not empty");
  const agent = { id: "agent-1", secret: agentAdded.secret ?? "" };
  const api = { id: "refunds-api", secret: apiAdded.secret };

  async function enrol(email: string): Promise<Person> {
    const { secret, approver } = await invite(server.store, email, email.split("@")[0] ?? email);
    const passkey = createVirtualAuthenticator({ rpId: "localhost", origin });
    const page = await (await request(`/enrol/${secret}`)).text();
    const attestation = passkey.attestation(optionsIn(page));
    const enrolled = await request(`/enrol/${secret}`, {
      method: "POST",
      headers: { origin },
      body: new URLSearchParams({
        ...hidden(page),
        attestation: JSON.stringify(attestation),
        device: "Phone",
      }),
    });
    if (enrolled.status !== 303)
      throw new Error(`enrolment answered ${enrolled.status}: ${await enrolled.text()}`);
    const person: Person = {
      approver: approver.id,
      passkey,
      cookie: (enrolled.headers.get("set-cookie") ?? "").split(";")[0] ?? "",
      get: (path) => request(path, { headers: { cookie: person.cookie } }),
      decide: async (requestId, verdict, changed = {}) => {
        const card = await (await person.get(`/requests/${requestId}`)).text();
        const form: Record<string, string> = { ...hidden(formOf(card, verdict)), verdict };
        if (verdict === "approve" && form.ceremony)
          form.assertion = JSON.stringify(passkey.assertion(optionsIn(formOf(card, verdict))));
        const body = new URLSearchParams({ ...form, ...changed });
        return await request(`/requests/${requestId}/decision`, {
          method: "POST",
          headers: { origin, cookie: person.cookie },
          body,
        });
      },
    };
    return person;
  }

  return {
    get server() {
      return server;
    },
    file: join(folder, "countersign.db"),
    rootKey,
    faults,
    faultPlaces,
    clock,
    request,
    post,
    agent,
    admit,
    api,
    ask: (changed = {}, headers = {}) => {
      const form = {
        scope: "openid",
        login_hint: "ada@example.com",
        authorization_details: JSON.stringify([refund]),
        ...changed,
      };
      const given = Object.entries(form).filter((pair): pair is [string, string] => pair[1] !== undefined);
      return post("/bc-authorize", Object.fromEntries(given), { ...basic(agent), ...headers });
    },
    poll: (authReqId) =>
      post("/oauth/token", { grant_type: cibaGrantType, auth_req_id: authReqId }, basic(agent)),
    spend: (form) => post("/spend", form, basic(api)),
    enrol,
    restart: async (text = rulesText) => {
      await server.close();
      server = await start(text);
    },
    close: async () => {
      await server.close();
      rmSync(folder, { recursive: true });
    },
  };
}

/** What stands in a page's attributes, unescaped. */
function unescaped(text: string): string {
  const named: Record<string, string> = {
    "&quot;": '"',
    "&amp;": "&",
    "&lt;": "<",
    "&gt;": ">",
    "&#39;": "'",
  };
  return text.replace(/&(quot|amp|lt|gt|#39);/g, (entity) => named[entity] ?? entity);
}

export function optionsIn(html: string): any {
  return JSON.parse(unescaped(/data-options="([^"]*)"/.exec(html)?.[1] ?? "{}"));
}

export function hidden(html: string): Record<string, string> {
  const inputs = html.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)">/g);
  return Object.fromEntries([...inputs].map(([, name = "", value = ""]) => [name, unescaped(value)]));
}

/** The form of a card with this id: `approve` or `deny`. */
export function formOf(html: string, id: string): string {
  return new RegExp(`<form id="${id}"[\\s\\S]*?</form>`).exec(html)?.[0] ?? "";
}
