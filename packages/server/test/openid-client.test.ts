/** `openid-client`, unchanged, as an agent: nothing of ours but the URL. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import * as client from "openid-client";
import { sealOfSecrets } from "../src/keys/seal.ts";
import { addAgent, type NewAgent } from "../src/operations/admit.ts";
import { type Deployment, deploy, issuer, type Person, refund, requestIdOf } from "./deployment.ts";

let place: Deployment;
let ada: Person;
let config: client.Configuration;
before(async () => {
  // The library looks at the machine's clock, so the server does as well.
  place = await deploy();
  place.clock.now = Date.now();
  ada = await place.enrol("ada@example.com");
  const added = await addAgent(place.server.store, {
    id: "agent-post",
    name: "Posting agent",
    types: ["refund"],
    credential: { method: "client_secret_post" },
  });
  assert.ok("secret" in added);
  config = await discover("agent-post", undefined, added.secret);
});
after(async () => {
  assert.deepEqual(place.faults, []);
  await place.close();
});

async function discover(id: string, proof?: client.ClientAuth, secret?: string) {
  const fetchIt: client.CustomFetch = async (url, options) =>
    place.server.fetch(new Request(url, options as RequestInit));
  const execute = [client.allowInsecureRequests];
  const options = { [client.customFetch]: fetchIt, execute };
  const discovered = await client.discovery(new URL(issuer), id, secret, proof, options);
  discovered[client.customFetch] = fetchIt;
  return discovered;
}

function ask(order: string, as = config) {
  return client.initiateBackchannelAuthentication(as, {
    scope: "openid",
    login_hint: "ada@example.com",
    binding_message: "Ticket 5512",
    authorization_details: JSON.stringify([{ ...refund, order }]),
  });
}

/** The library waits out the interval in real time; a shorter one is told to it, as a server may. */
const quickly = (asked: client.BackchannelAuthenticationResponse) => ({ ...asked, interval: 0.01 });

test("openid-client discovers, asks, polls and is given the token, the ID token and the details", async () => {
  const asked = await ask("O-1");
  assert.equal(asked.interval, 5);
  await ada.decide(requestIdOf(asked.auth_req_id), "approve");
  const granted = await client.pollBackchannelAuthenticationGrant(config, quickly(asked));
  assert.equal(granted.token_type, "bearer");
  assert.deepEqual(granted.authorization_details, [{ ...refund, order: "O-1" }]);
  assert.equal(granted.claims()?.sub, ada.approver);
  assert.equal(granted.refresh_token, undefined);
});

test("openid-client hears access_denied for a denial, and never takes it for anything else", async () => {
  const asked = await ask("O-2");
  await ada.decide(requestIdOf(asked.auth_req_id), "deny", { reason: "Not now" });
  await assert.rejects(client.pollBackchannelAuthenticationGrant(config, quickly(asked)), (error) => {
    assert.ok(error instanceof client.ResponseBodyError);
    assert.equal(error.error, "access_denied");
    return true;
  });
});

test("openid-client redeems with one token request, and a second one is invalid_grant", async () => {
  const asked = await ask("O-3");
  await ada.decide(requestIdOf(asked.auth_req_id), "approve");
  const grant = () =>
    client.genericGrantRequest(config, "urn:openid:params:grant-type:ciba", {
      auth_req_id: asked.auth_req_id,
    });
  assert.ok((await grant()).access_token);
  await assert.rejects(
    grant(),
    (error) => error instanceof client.ResponseBodyError && error.error === "invalid_grant",
  );
});

const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, [
  "sign",
  "verify",
]);
const jwk = await crypto.subtle.exportKey("jwk", pair.publicKey);
const keys = { keys: { from: "registration" as const, jwks: [jwk] as never } };
type Method = readonly [
  name: string,
  made: (place: Deployment) => Pick<NewAgent, "credential" | "keys">,
  proof: (secret: string) => client.ClientAuth,
];
const methods: readonly Method[] = [
  [
    "client_secret_basic",
    () => ({ credential: { method: "client_secret_basic" } }),
    client.ClientSecretBasic,
  ],
  ["client_secret_post", () => ({ credential: { method: "client_secret_post" } }), client.ClientSecretPost],
  [
    "client_secret_jwt",
    ({ outsideKey }) => ({
      credential: { method: "client_secret_jwt", seal: sealOfSecrets(outsideKey).seal },
    }),
    client.ClientSecretJwt,
  ],
  [
    "private_key_jwt",
    () => ({ credential: { method: "private_key_jwt" }, ...keys }),
    () => client.PrivateKeyJwt(pair.privateKey),
  ],
];
for (const [id, made, proof] of methods)
  test(`openid-client proves itself by ${id} at both endpoints`, async () => {
    const added = await addAgent(place.server.store, { id, name: id, types: ["refund"], ...made(place) });
    assert.ok(!("refused" in added));
    const own = await discover(id, proof(added.secret ?? ""));
    const asked = await ask(`O-${id}`, own);
    await ada.decide(requestIdOf(asked.auth_req_id), "approve");
    assert.ok((await client.pollBackchannelAuthenticationGrant(own, quickly(asked))).access_token);
  });
