/** What the endpoints stand on: handed to each of them by the route table, made once in `server.ts`. */
import type { DpopNonces } from "@countersign/protocol";
import type { Config } from "../config/config.ts";
import type { AuthReqIds } from "../crypto/auth-req-id.ts";
import type { Signer } from "../crypto/jwt-signer.ts";
import type { RelyingParty } from "../crypto/passkey.ts";
import type { Mac } from "../crypto/root-key.ts";
import type { Seal } from "../crypto/secret.ts";
import type { Keys } from "../domain/client/client.ts";
import type { ClientJwtVerifier } from "../outbound/client-jwt-verifier.ts";
import type { Outbound } from "../outbound/outbound.ts";
import type { Store } from "../store/store.ts";
import type { Keyring } from "../usecase/key/keyring.ts";
import type { PermissionCheck } from "../usecase/request/check-permission.ts";
import type { PollWaiters } from "../usecase/token/long-poll.ts";
import type { PollLimiter } from "../usecase/token/poll-limiter.ts";

export type HttpDeps = {
  readonly config: Config;
  readonly store: Store;
  readonly keyring: Keyring;
  readonly signer: Signer;
  readonly agentKeys: ClientJwtVerifier;
  /** Keys of those who may sign a `login_hint_token`, by their `iss`. */
  readonly loginHintKeys: ReadonlyMap<string, Keys>;
  /** For secrets of agents that have to be kept. */
  readonly secrets: Seal;
  readonly tickets: AuthReqIds;
  readonly pollLimiter: PollLimiter;
  readonly pollWaiters: PollWaiters;
  readonly party: RelyingParty;
  /** What a client assertion may name as its audience. */
  readonly audiences: ReadonlySet<string>;
  /** What a DPoP proof may name as `htu`. */
  readonly proofUrls: readonly (string | undefined)[];
  /** Of DPoP proofs, where they are wanted. */
  readonly nonces: DpopNonces | undefined;
  /** Proves that a form came from a page of the session that sends it. */
  readonly csrf: Mac;
  /** Proves that a passkey's question was ours. */
  readonly ceremonies: Mac;
  /** Keeps notification tokens. */
  readonly callbackSeal: Seal;
  /** Calls a URL that somebody else has registered. */
  readonly outbound: Outbound;
  /** Hears of every answer, where somebody counts. */
  readonly onResponse?: ((route: string, status: number, seconds: number) => void) | undefined;
  /** Whether this server takes requests: its store answers, and it is not about to end. */
  readonly ready: () => Promise<boolean>;
  /** The operator's check of permissions outside this server, where there is one. */
  readonly permission: PermissionCheck | undefined;
  /** Hears of every fault, whole. */
  readonly onFault: (fault: unknown, where: string) => void;
};
