/**
 * Types of the route table. A row names its method, path and access class; the access class decides what the handler
 * receives, so a page for signed-in approvers cannot be written without a session, nor its form without a CSRF check.
 */
import type { WebhookRoute } from "../channel/channel.ts";
import type { Form } from "./oauth/form.ts";
import type { PageResult } from "./page/page-result.ts";
import type { Viewer } from "./page/session.ts";
import type { TlsPeer } from "./transport/peer.ts";
import type { ProtocolRequest } from "./transport/protocol-request.ts";
import type { ProtocolResponse } from "./transport/response.ts";

/**
 * Who may call a route. `public`: anyone. `session`: a signed-in approver. `client`: an agent or API, which authenticates
 * in the request itself. `webhook`: a service that a channel uses; the channel verifies the signature of the request.
 */
export type Access = "public" | "session" | "client" | "webhook";

/** The value of the path's one parameter, or "" if the path has none. */
type Parameter = string;

/** Serves a document that needs no authentication. */
export type DocumentHandler = (parameter: Parameter) => ProtocolResponse | Promise<ProtocolResponse>;
/** Serves an OAuth endpoint; throws `OAuthError` to refuse. */
export type EndpointHandler = (
  request: ProtocolRequest,
  peer: TlsPeer,
  parameter: Parameter,
) => Promise<ProtocolResponse>;
/** Serves a page to anyone. `readViewer` returns undefined if no approver is signed in; most pages do not read it. */
export type PageHandler = (
  readViewer: () => Promise<Viewer | undefined>,
  parameter: Parameter,
  request: Request,
) => Promise<PageResult>;
/** Handles a form posted from a page of this server, without a session. */
export type FormHandler = (form: Form, parameter: Parameter) => Promise<PageResult>;
/** Serves a page to a signed-in approver. Redirects others to sign-in. */
export type SessionPageHandler = (
  viewer: Viewer,
  parameter: Parameter,
  request: Request,
) => Promise<PageResult>;
/** Handles a form of a signed-in approver; origin and CSRF token have been checked. */
export type SessionFormHandler = (viewer: Viewer, form: Form, parameter: Parameter) => Promise<PageResult>;

/**
 * Shows the page of a session form again, with a problem: the form arrived so soon after its page was rendered that the
 * approver cannot have read it.
 */
export type FormPageHandler = (
  viewer: Viewer,
  form: Form,
  parameter: Parameter,
  problem: string,
) => Promise<PageResult>;

type Row<A extends Access, Method extends string, Handler> = {
  readonly method: Method;
  /** Hono's syntax, at most one parameter. Also the route's name in metrics, traces and logs. */
  readonly path: string;
  readonly access: A;
} & Handler;

export type Route =
  | Row<"public", "GET", { readonly document: DocumentHandler }>
  | Row<"client", "GET" | "POST" | "PUT" | "DELETE", { readonly endpoint: EndpointHandler }>
  | Row<"webhook", "POST", Pick<WebhookRoute, "webhook">>
  | Row<"public", "GET", { readonly page: PageHandler }>
  | Row<"public", "POST", { readonly form: FormHandler }>
  /** `returnTo`: sign-in may send the approver back to this page. */
  | Row<"session", "GET", { readonly sessionPage: SessionPageHandler; readonly returnTo?: true }>
  | Row<"session", "POST", { readonly sessionForm: SessionFormHandler; readonly showAgain: FormPageHandler }>;

/** True for routes that show or handle pages, as opposed to the protocol. */
export function isPageRoute(route: Route): boolean {
  return "page" in route || "form" in route || "sessionPage" in route || "sessionForm" in route;
}
