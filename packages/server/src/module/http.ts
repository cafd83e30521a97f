/** The protocol endpoints and the approver pages. */
import { createDpopNonces } from "@countersign/protocol";
import { createSource } from "../config/policy.ts";
import { createAuthReqIds } from "../crypto/auth-req-id.ts";
import { loadLoginHintKeys } from "../crypto/login-hint-key.ts";
import { createMac } from "../crypto/root-key.ts";
import { createSeal, createSecretSeal } from "../crypto/seal.ts";
import { listProofUrls } from "../http/oauth/dpop.ts";
import { buildEndpointUrls } from "../http/oauth/endpoint/discovery.ts";
import { createRoutes } from "../http/routes.ts";
import { createClientJwtVerifier } from "../outbound/client-jwt-verifier.ts";
import { createJwksCache } from "../outbound/jwks-cache.ts";
import { openPermission } from "../permission/permission.ts";
import { createSignInMethods } from "../signin/sign-in-methods.ts";
import type { Store } from "../store/store.ts";
import { createPollWaiters } from "../usecase/token/long-poll.ts";
import { createPollLimiter } from "../usecase/token/poll-limiter.ts";
import type { ServerModule } from "./module.ts";
import { createSessions } from "./sessions.ts";

export const httpModule: ServerModule = {
  name: "http",
  async open(deps) {
    const { settings, policy, rootKey, store, directory, keyring, outbound, onFault } = deps;
    const permission = createSource(await openPermission(policy.current(), onFault));
    const ceremonies = createMac(rootKey, "ceremony");
    const secrets = createSecretSeal(rootKey);
    const pollWaiters = createPollWaiters(store);
    const jwksCache = createJwksCache(() => store.now(), outbound, onFault);
    const urls = [settings.issuer, ...(settings.mtls ? [settings.mtls.url] : [])].map(buildEndpointUrls);
    let isClosing = false;
    const routes = createRoutes({
      settings,
      policy,
      store,
      directory,
      keyring,
      sessions: createSessions(deps),
      signer: keyring.signer,
      clientJwtVerifier: createClientJwtVerifier(() => store.now(), secrets, jwksCache),
      secrets,
      loginHintKeys: loadLoginHintKeys(settings.loginHintIssuers),
      authReqIds: createAuthReqIds(rootKey),
      pollLimiter: createPollLimiter(() => policy.current().limits.pollIntervalSeconds),
      pollWaiters,
      relyingParty: settings.passkeys,
      audiences: new Set([settings.issuer, ...urls.flatMap((at) => [at.token, at.bcAuthorize, at.revoke])]),
      proofUrls: listProofUrls(urls.map(({ token }) => token)),
      nonces: settings.dpop.requireNonce
        ? createDpopNonces(createMac(rootKey, "dpop-nonce").make)
        : undefined,
      ceremonies,
      signInMethods: [
        ...createSignInMethods({ store, directory, relyingParty: settings.passkeys, ceremonies }),
        ...(deps.signInMethods ?? []),
      ],
      callbackSeal: createSeal(rootKey, "callbacks"),
      isReady: async () => !isClosing && (await isStoreReachable(store)),
      permission,
      onFault,
    });
    return {
      routes,
      prepareReload: async (next) => {
        const opened = await openPermission(next, onFault);
        return () => permission.replace(opened);
      },
      beginShutdown: () => {
        isClosing = true;
        pollWaiters.close();
      },
      close: () => pollWaiters.close(),
    };
  },
};

/** Returns true if one indexed read succeeds. */
async function isStoreReachable(store: Store): Promise<boolean> {
  try {
    await store.read("agent", "");
    return true;
  } catch {
    return false;
  }
}
