/** What the endpoints stand on: handed to each of them by the route table, made once in `server.ts`. */
import type { ProofNonces } from "@countersign/protocol";
import type { RelyingParty } from "../approver/passkey.ts";
import type { Keys } from "../client/client.ts";
import type { Config } from "../config/config.ts";
import type { AgentKeys } from "../keys/agent-key.ts";
import type { Keyring } from "../keys/keyring.ts";
import type { Tickets } from "../keys/ticket.ts";
import type { Stamp } from "../operations/ceremony.ts";
import type { Holds } from "../operations/hold.ts";
import type { Signer } from "../operations/issue.ts";
import type { Pace } from "../operations/pace.ts";
import type { Permission } from "../operations/permission.ts";
import type { Seal } from "../operations/secret.ts";
import type { Outbound } from "../outbound/outbound.ts";
import type { Store } from "../store/store.ts";

export type HttpGround = {
  readonly config: Config;
  readonly store: Store;
  readonly keyring: Keyring;
  readonly signer: Signer;
  readonly agentKeys: AgentKeys;
  /** Keys of those who may sign a `login_hint_token`, by their `iss`. */
  readonly loginHintKeys: ReadonlyMap<string, Keys>;
  /** For secrets of agents that have to be kept. */
  readonly secrets: Seal;
  readonly tickets: Tickets;
  readonly pace: Pace;
  readonly holds: Holds;
  readonly party: RelyingParty;
  /** What a client assertion may name as its audience. */
  readonly audiences: ReadonlySet<string>;
  /** What a DPoP proof may name as `htu`. */
  readonly proofUrls: readonly (string | undefined)[];
  /** Of DPoP proofs, where they are wanted. */
  readonly nonces: ProofNonces | undefined;
  /** Proves that a form came from a page of the session that sends it. */
  readonly csrf: Stamp;
  /** Proves that a passkey's question was ours. */
  readonly ceremonies: Stamp;
  /** Keeps notification tokens. */
  readonly callbackSeal: Seal;
  /** Calls a URL that somebody else has registered. */
  readonly outbound: Outbound;
  /** Hears of every answer, where somebody counts. */
  readonly answered?: ((route: string, status: number, seconds: number) => void) | undefined;
  /** Whether this server takes requests: its store answers, and it is not about to end. */
  readonly ready: () => Promise<boolean>;
  /** The operator's check of permissions outside this server, where there is one. */
  readonly permission: Permission | undefined;
  /** Hears of every fault, whole. */
  readonly onFault: (fault: unknown, where: string) => void;
};
