/** Builds the harness's plan and the suite's configuration for one variant of the test plan. */
import type { Credentials } from "../credential.ts";
import type { Harness } from "../harness.ts";
import type { Plan } from "../plan.ts";
import { type Module, modules, modulesOf, scopeOf, type Variant } from "./module.ts";

/** The suite's alias for this configuration; part of its callback paths. */
export const alias = "countersign";
export const approver = "ada@example.com";
export const acr = "urn:countersign:acr:session";

/** `suite` is the suite's base URL, such as `https://localhost.emobix.co.uk:8443`. */
export function notificationEndpoint(suite: string): string {
  return `${suite.replace(/\/$/, "")}/test/a/${alias}/ciba-notification-endpoint`;
}

/** Two clients with signing keys, certificates and certificate-bound tokens. */
export function planOf({ auth, mode, algorithm }: Variant, endpoint: string): Plan {
  const client = {
    // The server announces the authority that it trusts; a Java client sends only certificates of that authority.
    method: auth === "mtls" ? ("tls_client_auth" as const) : auth,
    algorithm,
    one_algorithm: true,
    signs_requests: true,
    binding: "mtls" as const,
    delivery: mode === "ping" ? { mode, endpoint } : { mode },
  };
  return {
    https: true,
    rsa: true,
    scopes: (Object.keys(modules) as Module[]).map(scopeOf),
    reopen_denials: true,
    approvers: [{ email: approver, name: "Ada" }],
    agents: [
      { id: "suite-client-1", ...client },
      { id: "suite-client-2", ...client },
    ],
  };
}

export function clientsOf({ agents }: Pick<Harness, "agents">): readonly [Credentials, Credentials] {
  return [agents.get("suite-client-1")!, agents.get("suite-client-2")!];
}

/** Returns the configuration for the suite's JSON form or its API. `override` sets the scope and the resource of each module. */
export function suiteConfiguration(harness: Harness, variant: Variant): object {
  const [one, two] = clientsOf(harness);
  const within = (scope: string) => ({
    client: { ...clientOf(one, scope), hint_type: "login_hint", hint_value: approver },
    client2: { ...clientOf(two, scope), acr_value: acr },
    resource: { resourceUrl: `${harness.resource.url}/${scope}` },
  });
  return {
    alias,
    description: `Countersign, ${variant.auth}, ${variant.mode}, ${variant.algorithm}`,
    server: { discoveryUrl: `${harness.issuer}/.well-known/openid-configuration` },
    ...within(scopeOf("fapi-ciba-id1")),
    mtls: certificateOf(one),
    mtls2: certificateOf(two),
    automated_ciba_approval_url: harness.headless.url,
    override: Object.fromEntries(modulesOf(variant).map((name) => [name, within(scopeOf(name))])),
  };
}

function clientOf({ id, key }: Credentials, scope: string) {
  return { client_id: id, scope: `openid ${scope}`, jwks: { keys: [key] } };
}

function certificateOf({ certificate }: Credentials) {
  return certificate && { cert: certificate.certificate, key: certificate.key };
}
