/**
 * The named dependencies of the protocol endpoints over an in-memory SQLite store, wired as `server.ts` does it, without
 * listener, jobs, pages and files.
 */
import { randomBytes } from "node:crypto";
import { createDpopNonces } from "@countersign/protocol";
import { type Config, formatProblem, parseConfig } from "../../../server/src/config/config.ts";
import { createSource } from "../../../server/src/config/policy.ts";
import type { Policy } from "../../../server/src/config/sections.ts";
import { createAuthReqIds } from "../../../server/src/crypto/auth-req-id.ts";
import { loadLoginHintKeys } from "../../../server/src/crypto/login-hint-key.ts";
import { createMac, type RootKey } from "../../../server/src/crypto/root-key.ts";
import { createSeal, createSecretSeal } from "../../../server/src/crypto/seal.ts";
import { openDirectory } from "../../../server/src/directory/open-directory.ts";
import { listProofUrls } from "../../../server/src/http/oauth/dpop.ts";
import type { BackchannelAuthenticationDeps } from "../../../server/src/http/oauth/endpoint/backchannel-authentication.ts";
import { buildEndpointUrls } from "../../../server/src/http/oauth/endpoint/discovery.ts";
import type { RegistrationDeps } from "../../../server/src/http/oauth/endpoint/registration.ts";
import type { TokenDeps } from "../../../server/src/http/oauth/endpoint/token.ts";
import { createClientJwtVerifier } from "../../../server/src/outbound/client-jwt-verifier.ts";
import { createJwksCache } from "../../../server/src/outbound/jwks-cache.ts";
import { createOutbound } from "../../../server/src/outbound/outbound.ts";
import { openSqlite } from "../../../server/src/store/sqlite/sqlite.ts";
import { openKeyring } from "../../../server/src/usecase/key/keyring.ts";
import type { DecideDeps } from "../../../server/src/usecase/request/decide.ts";
import { createPollWaiters } from "../../../server/src/usecase/token/long-poll.ts";
import { createPollLimiter } from "../../../server/src/usecase/token/poll-limiter.ts";
import { type ConfigEdit, editConfig, formatConfig } from "../server/edit-config.ts";
import { sampleConfig } from "../server/sample-config.ts";

export type EndpointDeps = BackchannelAuthenticationDeps & TokenDeps & RegistrationDeps & DecideDeps;

export type EndpointDepsOptions = {
  /** An edit of `sampleConfig`. */
  readonly config?: ConfigEdit | undefined;
  /** The store's clock, in milliseconds since the epoch. */
  readonly clock: () => number;
};

/** Opens the store and returns the dependencies of every protocol endpoint. The caller closes the store. */
export async function openEndpointDeps({ config: edit, clock }: EndpointDepsOptions): Promise<EndpointDeps> {
  const config = parse(edit);
  const policy = createSource<Policy>(config);
  const rootKey: RootKey = new Uint8Array(randomBytes(32));
  const store = openSqlite({ path: ":memory:", clock });
  const keyring = await openKeyring(store, rootKey, config.issuer, config.log.origin);
  const secrets = createSecretSeal(rootKey);
  const fail = (fault: unknown) => {
    throw fault;
  };
  const jwksCache = createJwksCache(clock, createOutbound(config.outbound), fail);
  const urls = buildEndpointUrls(config.issuer);
  return {
    settings: config,
    policy,
    store,
    directory: openDirectory({ settings: config, policy, store }),
    keyring,
    signer: keyring.signer,
    clientJwtVerifier: createClientJwtVerifier(clock, secrets, jwksCache),
    secrets,
    loginHintKeys: loadLoginHintKeys(config.loginHintIssuers),
    authReqIds: createAuthReqIds(rootKey),
    pollLimiter: createPollLimiter(() => policy.current().limits.pollIntervalSeconds),
    pollWaiters: createPollWaiters(store),
    relyingParty: config.passkeys,
    audiences: new Set([config.issuer, urls.token, urls.bcAuthorize, urls.revoke]),
    proofUrls: listProofUrls([urls.token]),
    nonces: config.dpop.requireNonce ? createDpopNonces(createMac(rootKey, "dpop-nonce").make) : undefined,
    ceremonies: createMac(rootKey, "ceremony"),
    callbackSeal: createSeal(rootKey, "callbacks"),
  };
}

function parse(edit: ConfigEdit | undefined): Config {
  const text = formatConfig(edit ? editConfig(sampleConfig, edit) : sampleConfig);
  const read = parseConfig(text, "/endpoint-test/countersign.yaml");
  if ("problems" in read) throw new Error(read.problems.map(formatProblem).join("\n"));
  return read.config;
}
