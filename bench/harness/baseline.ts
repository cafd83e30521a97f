/** The servers to compare with: `oidc-provider`, and a minimal Node server. */
import { randomBytes } from "node:crypto";
import { cibaGrantType } from "@countersign/protocol";
import { toBasicAuth } from "@countersign/testing/server/deployment";
import { exportJWK, generateKeyPair } from "jose";
import { installPackage, oidcProvider } from "../../scripts/install-package.ts";
import { post } from "./connection.ts";
import { run } from "./process.ts";
import { createSigning, type Flow, type Method, type Target } from "./target.ts";

const program = (name: string) => new URL(name, import.meta.url).pathname;
const ready = /port (\d+)/;

/** Its issuer; it listens on another address, which does not matter. */
const issuer = "http://localhost:4500";

export async function startOidcProvider(): Promise<Target & { readonly words: readonly string[] }> {
  installPackage(oidcProvider);
  const secret = randomBytes(32).toString("base64url");
  const signing = await createSigning();
  const { privateKey } = await generateKeyPair("ES256", { extractable: true });
  const signingJwk = { ...(await exportJWK(privateKey)), kid: "server", alg: "ES256", use: "sig" };
  const settings = JSON.stringify({ secret, publicJwk: signing.publicJwk, signingJwk });
  const words = [program("../oidc-provider/server.ts"), settings];

  async function flow(method: Method): Promise<Flow> {
    const prove = async () => {
      if (method === "secret") return { form: {}, headers: toBasicAuth({ id: "basic", secret }) };
      const form = await signing.assertion("key", issuer);
      // oidc-provider derives `htu` from the Host header.
      const dpop = await signing.proof.prove({ htu: "http://localhost/token", now: Date.now() });
      return { form, headers: { dpop } };
    };
    const [asking, polling, redeeming] = [await prove(), await prove(), await prove()];
    const ask = { scope: "openid refund", login_hint: "ada@example.com", binding_message: "A-1" };
    const tokenRequest = (ticket: string, { form, headers }: typeof asking) =>
      post("/token", { grant_type: cibaGrantType, auth_req_id: ticket, ...form }, headers);
    return {
      ask: post("/backchannel", { ...ask, ...asking.form }, method === "secret" ? asking.headers : {}),
      poll: (ticket) => tokenRequest(ticket, polling),
      decide: (ticket) => post(`/decide/${ticket}`, {}),
      redeem: (ticket) => tokenRequest(ticket, redeeming),
    };
  }

  return {
    name: "oidc-provider",
    ...(await run(words, ready)),
    words,
    flows: (count, method) => Promise.all(Array.from({ length: count }, () => flow(method))),
  };
}

export async function startBare(): Promise<Target & { readonly words: readonly string[] }> {
  const words = [program("bare-server.ts")];
  const headers = toBasicAuth({ id: "agent-1", secret: randomBytes(32).toString("base64url") });
  const ticket = randomBytes(36).toString("base64url");
  const request = post("/", { grant_type: cibaGrantType, auth_req_id: ticket }, headers);
  const always = () => request;
  return {
    name: "bare node:http",
    ...(await run(words, ready)),
    words,
    flows: async (count) =>
      Array.from({ length: count }, () => ({ ask: request, poll: always, decide: always, redeem: always })),
  };
}
