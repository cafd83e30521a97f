/** A running server, and the requests of a complete flow. */
import { randomUUID } from "node:crypto";
import { createProofKey, type ProofKey } from "@countersign/testing/server/dpop-key";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import type { HttpResponse } from "./connection.ts";
import { requestOnce, runScript } from "./load.ts";
import type { Running } from "./process.ts";

/** `secret`: client_secret_basic. `key`: private_key_jwt, and a DPoP proof with each token request. */
export type Method = "secret" | "key";

/** The requests of one flow. Client authentication is prepared before: signing is the client's work, not the server's. */
export type Flow = {
  readonly ask: Buffer;
  readonly poll: (authReqId: string) => Buffer;
  readonly decide: (authReqId: string) => Buffer;
  readonly redeem: (authReqId: string) => Buffer;
  /** Undefined if the server does not support it. */
  readonly reserve?: (accessToken: string) => Buffer;
  readonly complete?: (accessToken: string) => Buffer;
};

export type Target = Running & {
  readonly name: string;
  readonly flows: (count: number, method: Method) => Promise<readonly Flow[]>;
};

export const parseAuthReqId = ({ body }: HttpResponse): string => JSON.parse(body).auth_req_id;
export const parseAccessToken = ({ body }: HttpResponse): string => JSON.parse(body).access_token;

/** Sends the authentication requests outside of the measurement. Returns the auth_req_ids in order. */
export async function requestAll(target: Target, flows: readonly Flow[]): Promise<string[]> {
  const authReqIds: string[] = [];
  const scripts = flows.map(({ ask }, at) =>
    requestOnce(ask, 200, (response) => {
      authReqIds[at] = parseAuthReqId(response);
    }),
  );
  await runScript(target, scripts);
  return authReqIds;
}

export async function decideAll(target: Target, flows: readonly Flow[]): Promise<string[]> {
  const authReqIds = await requestAll(target, flows);
  await runScript(
    target,
    flows.map(({ decide }, at) => requestOnce(decide(authReqIds[at]!), 303)),
  );
  return authReqIds;
}

export async function redeemAll(target: Target, flows: readonly Flow[]): Promise<string[]> {
  const authReqIds = await decideAll(target, flows);
  const tokens: string[] = [];
  const scripts = flows.map(({ redeem }, at) =>
    requestOnce(redeem(authReqIds[at]!), 200, (response) => {
      tokens[at] = parseAccessToken(response);
    }),
  );
  await runScript(target, scripts);
  return tokens;
}

/** A key for private_key_jwt, and one for DPoP. */
export type Signing = {
  readonly publicJwk: JWK;
  /** Parameters of the form. */
  readonly assertion: (client: string, audience: string) => Promise<Readonly<Record<string, string>>>;
  readonly proof: ProofKey;
};

export async function createSigning(): Promise<Signing> {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  return {
    publicJwk: { ...(await exportJWK(publicKey)), kid: "bench", alg: "ES256", use: "sig" },
    assertion: async (client, audience) => ({
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
      client_assertion: await new SignJWT({ iss: client, sub: client, aud: audience, jti: randomUUID() })
        .setProtectedHeader({ alg: "ES256", kid: "bench" })
        .setIssuedAt()
        .setExpirationTime("5m")
        .sign(privateKey),
    }),
    proof: await createProofKey(),
  };
}
