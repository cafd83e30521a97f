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

export async function startOidcProvider(): Promise<Target & { readonly args: readonly string[] }> {
  installPackage(oidcProvider);
  const secret = randomBytes(32).toString("base64url");
  const signing = await createSigning();
  const { privateKey } = await generateKeyPair("ES256", { extractable: true });
  const signingJwk = { ...(await exportJWK(privateKey)), kid: "server", alg: "ES256", use: "sig" };
  const settings = JSON.stringify({ secret, publicJwk: signing.publicJwk, signingJwk });
  const args = [program("../oidc-provider/server.ts"), settings];

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
    const tokenRequest = (authReqId: string, { form, headers }: typeof asking) =>
      post("/token", { grant_type: cibaGrantType, auth_req_id: authReqId, ...form }, headers);
    return {
      ask: post("/backchannel", { ...ask, ...asking.form }, method === "secret" ? asking.headers : {}),
      poll: (authReqId) => tokenRequest(authReqId, polling),
      decide: (authReqId) => post(`/decide/${authReqId}`, {}),
      redeem: (authReqId) => tokenRequest(authReqId, redeeming),
    };
  }

  return {
    name: "oidc-provider",
    ...(await run(args, ready)),
    args,
    flows: (count, method) => Promise.all(Array.from({ length: count }, () => flow(method))),
  };
}

export async function startBare(): Promise<Target & { readonly args: readonly string[] }> {
  const args = [program("bare-server.ts")];
  const headers = toBasicAuth({ id: "agent-1", secret: randomBytes(32).toString("base64url") });
  const authReqId = randomBytes(36).toString("base64url");
  const request = post("/", { grant_type: cibaGrantType, auth_req_id: authReqId }, headers);
  const always = () => request;
  return {
    name: "bare node:http",
    ...(await run(args, ready)),
    args,
    flows: async (count) =>
      Array.from({ length: count }, () => ({ ask: request, poll: always, decide: always, redeem: always })),
  };
}
