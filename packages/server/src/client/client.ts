/**
 * Those who call the server with credentials of their own: the agent, which asks, and the API, which spends.
 * Pure values; proving that a caller is one of them is `http/client-authentication.ts`. Nothing here ever holds a secret in clear.
 */
import type { JsonObject } from "@countersign/protocol";

/** How a client proves itself, and only so: the registered method is the one accepted. */
export type Credential =
  | { readonly method: "client_secret_basic" | "client_secret_post"; readonly secretHash: string }
  | { readonly method: "private_key_jwt"; readonly keys: readonly JsonObject[] };

export type Agent = {
  readonly id: string;
  /** What the card calls it. Chosen by the operator, never by the agent. */
  readonly name: string;
  readonly credential: Credential;
  /** Action types it may ask for (scopes that are actions are listed by their scope name). */
  readonly types: readonly string[];
  /** Paused: everything it asks or redeems is refused until a person resumes it. */
  readonly paused: boolean;
  readonly createdAt: number;
};

export type Api = {
  readonly id: string;
  /** The name of the API in the configuration, whose audience it may spend tokens of. */
  readonly api: string;
  readonly secretHash: string;
  readonly createdAt: number;
};
