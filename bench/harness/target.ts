/** A running server, and the requests of a complete flow. */
import { randomUUID } from "node:crypto";
import { createProofKey, type ProofKey } from "@countersign/testing/server/dpop-key";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import type { Answer } from "./connection.ts";
import { once, runScript } from "./load.ts";
import type { Running } from "./process.ts";

/** `secret`: client_secret_basic. `key`: private_key_jwt, and a DPoP proof with each token request. */
export type Method = "secret" | "key";

/** The requests of one flow. Client authentication is prepared before: signing is the client's work, not the server's. */
export type Flow = {
  readonly ask: Buffer;
  readonly poll: (ticket: string) => Buffer;
  readonly decide: (ticket: string) => Buffer;
  readonly redeem: (ticket: string) => Buffer;
  /** Undefined if the server does not support it. */
  readonly reserve?: (accessToken: string) => Buffer;
  readonly complete?: (accessToken: string) => Buffer;
};

export type Target = Running & {
  readonly name: string;
  readonly flows: (count: number, method: Method) => Promise<readonly Flow[]>;
};

export const ticketIn = ({ body }: Answer): string => JSON.parse(body).auth_req_id;
export const tokenIn = ({ body }: Answer): string => JSON.parse(body).access_token;

/** Sends the authentication requests outside of the measurement. Returns the auth_req_ids in order. */
export async function asked(party: Target, flows: readonly Flow[]): Promise<string[]> {
  const tickets: string[] = [];
  const scripts = flows.map(({ ask }, at) =>
    once(ask, 200, (answer) => {
      tickets[at] = ticketIn(answer);
    }),
  );
  await runScript(party, scripts);
  return tickets;
}

export async function decided(party: Target, flows: readonly Flow[]): Promise<string[]> {
  const tickets = await asked(party, flows);
  await runScript(
    party,
    flows.map(({ decide }, at) => once(decide(tickets[at]!), 303)),
  );
  return tickets;
}

export async function redeemed(party: Target, flows: readonly Flow[]): Promise<string[]> {
  const tickets = await decided(party, flows);
  const tokens: string[] = [];
  const scripts = flows.map(({ redeem }, at) =>
    once(redeem(tickets[at]!), 200, (answer) => {
      tokens[at] = tokenIn(answer);
    }),
  );
  await runScript(party, scripts);
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
