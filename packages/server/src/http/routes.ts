/**
 * The route table: every page and endpoint, with who may call it. A new page or endpoint is a handler and a row. `server.ts`
 * appends the routes of other modules, such as the webhooks of channels, which depend on the configuration. Router, fast path,
 * metrics, traces and the fuzz test follow the combined list; sign-in's return list and docs/endpoints.md only this table.
 */

import type { PolicySource } from "../config/policy.ts";
import type { Settings } from "../config/sections.ts";
import { renderAboutPage } from "../page/about.ts";
import type { Keyring } from "../usecase/key/keyring.ts";
import { createActionTypeHandler, createActionTypeListHandler } from "./oauth/endpoint/action-type.ts";
import {
  type BackchannelAuthenticationDeps,
  createBackchannelAuthenticationHandler,
} from "./oauth/endpoint/backchannel-authentication.ts";
import { createMetadata } from "./oauth/endpoint/discovery.ts";
import { createIntrospectionHandler } from "./oauth/endpoint/introspection.ts";
import { createRegistrationHandlers, type RegistrationDeps } from "./oauth/endpoint/registration.ts";
import { createRevocationHandler } from "./oauth/endpoint/revocation.ts";
import { createSpendHandler } from "./oauth/endpoint/spend.ts";
import { createTokenHandler, type TokenDeps } from "./oauth/endpoint/token.ts";
import { serveAsset } from "./page/endpoint/asset.ts";
import { type CardDeps, createCardHandlers } from "./page/endpoint/card.ts";
import { createDeviceHandlers } from "./page/endpoint/device.ts";
import { createEnrolmentHandlers, type EnrolmentDeps } from "./page/endpoint/enrolment.ts";
import { createInboxHandlers, type InboxDeps } from "./page/endpoint/inbox.ts";
import { createSignInHandlers, type SignInPageDeps } from "./page/endpoint/sign-in.ts";
import { createSafeReturnTo } from "./page/return-to.ts";
import type { BrowserSessions } from "./page/session.ts";
import type { Route } from "./route.ts";
import { createPublicJson, createTextResponse } from "./transport/response.ts";

/** The dependencies of all handlers together. Each handler factory receives its own named part. */
export type RouteDeps = BackchannelAuthenticationDeps &
  TokenDeps &
  RegistrationDeps &
  CardDeps &
  InboxDeps &
  Omit<EnrolmentDeps, "issuer"> &
  Omit<SignInPageDeps, "safeReturnTo"> & {
    readonly settings: Settings;
    readonly policy: PolicySource;
    readonly keyring: Keyring;
    readonly sessions: BrowserSessions;
    /** Resolves to false if the store is unreachable or the server is shutting down. */
    readonly isReady: () => Promise<boolean>;
  };

export function createRoutes(deps: RouteDeps): readonly Route[] {
  const { settings, policy, store, keyring, isReady } = deps;
  const { issuer } = settings;
  const registration = createRegistrationHandlers(deps);
  const card = createCardHandlers(deps);
  const inbox = createInboxHandlers(deps);
  const device = createDeviceHandlers(deps);
  const enrolment = createEnrolmentHandlers({ ...deps, issuer });
  const signIn = createSignInHandlers({ ...deps, safeReturnTo: (next) => safeReturnTo(next) });

  const routes: readonly Route[] = [
    // Process probes and published documents.
    { method: "GET", path: "/livez", access: "public", document: () => createTextResponse("ok\n") },
    {
      method: "GET",
      path: "/readyz",
      access: "public",
      document: async () =>
        (await isReady())
          ? createTextResponse("ok\n")
          : createTextResponse("not ready\n", { status: 503, headers: { "retry-after": "2" } }),
    },
    ...["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"].map(
      (path) =>
        ({
          method: "GET",
          path,
          access: "public",
          document: () => createPublicJson(createMetadata(settings, policy.current()), "max-age=300"),
        }) as const,
    ),
    {
      method: "GET",
      path: "/jwks",
      access: "public",
      document: () => createPublicJson(keyring.jwks(), "max-age=300"),
    },
    { method: "GET", path: "/action-types", access: "public", document: createActionTypeListHandler(deps) },
    { method: "GET", path: "/action-types/:hash", access: "public", document: createActionTypeHandler(deps) },
    {
      method: "GET",
      path: "/log/checkpoint",
      access: "public",
      document: async () => createTextResponse((await store.log.newestCheckpoint())?.note ?? ""),
    },
    {
      method: "GET",
      path: "/log/key",
      access: "public",
      document: () => createTextResponse(`${keyring.logKey}\n`),
    },

    // Agents and APIs.
    {
      method: "POST",
      path: "/bc-authorize",
      access: "client",
      endpoint: createBackchannelAuthenticationHandler(deps),
    },
    { method: "POST", path: "/oauth/token", access: "client", endpoint: createTokenHandler(deps) },
    { method: "POST", path: "/spend", access: "client", endpoint: createSpendHandler(deps) },
    { method: "POST", path: "/introspect", access: "client", endpoint: createIntrospectionHandler(deps) },
    { method: "POST", path: "/revoke", access: "client", endpoint: createRevocationHandler(deps) },
    ...(settings.registration.enabled
      ? ([
          { method: "POST", path: "/register", access: "client", endpoint: registration.create },
          { method: "GET", path: "/register/:id", access: "client", endpoint: registration.read },
          { method: "PUT", path: "/register/:id", access: "client", endpoint: registration.update },
          { method: "DELETE", path: "/register/:id", access: "client", endpoint: registration.remove },
        ] as const)
      : []),

    // Pages.
    {
      method: "GET",
      path: "/",
      access: "public",
      page: async (readViewer) => ({
        page: renderAboutPage({ issuer, approverName: (await readViewer())?.approver.name }),
      }),
    },
    { method: "GET", path: "/assets/:id", access: "public", page: serveAsset },
    // Some clients require an authorization endpoint: it explains what this server is for.
    {
      method: "GET",
      path: "/authorize",
      access: "public",
      page: async () => ({ message: "no_browser_flow", status: 400 }),
    },
    { method: "GET", path: "/enrol/:id", access: "public", page: enrolment.show },
    { method: "GET", path: "/enrol/:id/elsewhere", access: "public", page: enrolment.showLink },
    { method: "POST", path: "/enrol/:id", access: "public", form: enrolment.finish },
    { method: "GET", path: "/sign-in", access: "public", page: signIn.show },
    { method: "POST", path: "/sign-in", access: "public", form: signIn.finish },
    {
      method: "POST",
      path: "/sign-out",
      access: "session",
      sessionForm: signIn.signOut,
      showAgain: device.showAgain,
    },
    { method: "GET", path: "/inbox", access: "session", sessionPage: inbox.show, returnTo: true },
    { method: "GET", path: "/inbox/events", access: "session", sessionPage: inbox.events },
    { method: "GET", path: "/requests/:id", access: "session", sessionPage: card.show, returnTo: true },
    {
      method: "POST",
      path: "/requests/:id/decision",
      access: "session",
      sessionForm: card.decide,
      showAgain: card.showAgain,
    },
    {
      method: "POST",
      path: "/requests/:id/pause-agent",
      access: "session",
      sessionForm: card.pauseAgent,
      showAgain: card.showAgain,
    },
    { method: "GET", path: "/devices", access: "session", sessionPage: device.show, returnTo: true },
    {
      method: "POST",
      path: "/devices/add",
      access: "session",
      sessionForm: device.add,
      showAgain: device.showAgain,
    },
    {
      method: "POST",
      path: "/devices/:id/remove",
      access: "session",
      sessionForm: device.remove,
      showAgain: device.showAgain,
    },
  ];
  const safeReturnTo = createSafeReturnTo(routes);
  return routes;
}
