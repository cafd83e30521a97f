/**
 * `oidc-provider` in the fastest configuration known to us: all data in a `Map` of this process (its own memory adapter is limited
 * to 1,000 records), static clients, JWT access tokens with ES256, no authorization_details, no durable storage, no log. A decision
 * is an in-process call, without a session or a form.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { cibaGrantType } from "@countersign/protocol";
// @ts-expect-error: it has no types, and @types/oidc-provider is for an older version.
import { Provider } from "oidc-provider";

const audience = "https://refunds.example";
const { secret, publicJwk, signingJwk } = JSON.parse(process.argv[2] ?? "{}");

type Payload = Record<string, unknown> & { consumed?: number };

/** Never deletes records, which is faster and sufficient for a benchmark. */
const records = new Map<string, Payload>();
class MapAdapter {
  readonly model: string;
  constructor(model: string) {
    this.model = model;
  }
  async upsert(id: string, payload: Payload) {
    records.set(`${this.model}:${id}`, payload);
  }
  async find(id: string) {
    return records.get(`${this.model}:${id}`);
  }
  async consume(id: string) {
    records.get(`${this.model}:${id}`)!.consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id: string) {
    records.delete(`${this.model}:${id}`);
  }
  async findByUid() {
    return undefined;
  }
  async findByUserCode() {
    return undefined;
  }
  async revokeByGrantId() {}
}

const client = {
  grant_types: [cibaGrantType],
  response_types: [],
  redirect_uris: [],
  backchannel_token_delivery_mode: "poll",
  id_token_signed_response_alg: "ES256",
} as const;
const provider = new Provider("http://localhost:4500", {
  adapter: MapAdapter as never,
  clients: [
    { ...client, client_id: "basic", client_secret: secret },
    {
      ...client,
      client_id: "key",
      token_endpoint_auth_method: "private_key_jwt",
      token_endpoint_auth_signing_alg: "ES256",
      jwks: { keys: [publicJwk] },
    },
  ] as never,
  jwks: { keys: [signingJwk] },
  enabledJWA: { idTokenSigningAlgValues: ["ES256"] },
  features: {
    devInteractions: { enabled: false },
    dPoP: { enabled: true },
    ciba: {
      enabled: true,
      deliveryModes: ["poll"],
      processLoginHint: (_: unknown, hint: string) => hint,
      validateRequestContext: () => {},
      validateBindingMessage: () => {},
      verifyUserCode: () => {},
      triggerAuthenticationDevice: () => {},
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => audience,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: "refund",
        audience,
        accessTokenTTL: 60,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "ES256" } },
      }),
    },
  } as never,
  ttl: { BackchannelAuthenticationRequest: 3600, Grant: 3600, IdToken: 60 },
  findAccount: (_: unknown, accountId: string) => ({ accountId, claims: () => ({ sub: accountId }) }),
});

async function decide(id: string): Promise<void> {
  const request = await provider.BackchannelAuthenticationRequest.find(id);
  if (!request?.clientId || !request.accountId) throw new Error("unknown request");
  const grant = new provider.Grant({ clientId: request.clientId, accountId: request.accountId });
  grant.addOIDCScope("openid");
  grant.addResourceScope(audience, "refund");
  await grant.save();
  await provider.backchannelResult(request, grant, {
    acr: "session",
    amr: ["pop"],
    authTime: Math.floor(Date.now() / 1000),
  });
}

const handle = provider.callback();
const server = createServer((request, response) => {
  const id = /^\/decide\/(.+)$/.exec(request.url ?? "")?.[1];
  if (id === undefined) return void handle(request, response);
  request.resume().once("end", () => {
    decide(id).then(
      () => response.writeHead(303, { "content-length": 0 }).end(),
      (fault) => response.writeHead(500).end(String(fault)),
    );
  });
});
server.listen(0, "127.0.0.1", () => console.log(`port ${(server.address() as AddressInfo).port}`));
