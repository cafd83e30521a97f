/**
 * Serves the page rows of the route table: guards (session, same origin, CSRF token) and rendering. GET never decides and
 * never changes a request.
 */
import { contentSecurityPolicy, type Html } from "../../page/layout.ts";
import { type MessageName, renderMessagePage } from "../../page/message.ts";
import { type Form, readForm } from "../oauth/form.ts";
import { OAuthError } from "../oauth/oauth-error.ts";
import type { FormHandler, PageHandler, SessionFormHandler, SessionPageHandler } from "../route.ts";
import type { ProtocolRequest } from "../transport/protocol-request.ts";
import { type ProtocolResponse, securityHeaders } from "../transport/response.ts";
import type { PageMessage, PageResult } from "./page-result.ts";
import type { BrowserSessions, Viewer } from "./session.ts";

export type PageRenderer = {
  readonly page: (handler: PageHandler) => ServePage;
  readonly form: (handler: FormHandler) => ServePage;
  readonly sessionPage: (handler: SessionPageHandler) => ServePage;
  readonly sessionForm: (handler: SessionFormHandler) => ServePage;
  /** The page for a request that failed. Reads no session: that read may be what failed. */
  readonly fault: () => ProtocolResponse;
};

/** `request` is undefined on the fast path, which serves only forms. */
export type ServePage = (
  call: ProtocolRequest,
  parameter: string,
  request: Request | undefined,
) => Promise<ProtocolResponse | Response>;

const formExpired: PageResult = { message: "form_expired", status: 403 };

export function createPageRenderer(sessions: BrowserSessions): PageRenderer {
  const serve =
    (run: (call: ProtocolRequest, parameter: string, request: Request) => Promise<PageResult>): ServePage =>
    async (call, parameter, request) => {
      const result = await run(call, parameter, request as Request);
      return result instanceof Response ? result : await render(call, result);
    };

  async function render(call: ProtocolRequest, result: PageMessage): Promise<ProtocolResponse> {
    const headers =
      result.cookie === undefined ? pageHeaders : { ...pageHeaders, "set-cookie": result.cookie };
    if ("redirect" in result)
      return { status: 303, headers: { ...headers, location: result.redirect }, body: "" };
    const { status = 200 } = result;
    if ("page" in result) return { status, headers, body: String(result.page) };
    const body = String(renderMessage(result.message, await sessions.readViewer(call)));
    return { status, headers: status === 503 ? { ...headers, "retry-after": "2" } : headers, body };
  }

  return {
    page: (handler) =>
      serve((call, parameter, request) => handler(() => sessions.readViewer(call), parameter, request)),
    form: (handler) =>
      serve(async (call, parameter) => {
        const form = sessions.hasSameOrigin(call) ? await readPageForm(call) : undefined;
        return form ? await handler(form, parameter) : formExpired;
      }),
    sessionPage: (handler) =>
      serve(async (call, parameter, request) => {
        const viewer = await sessions.readViewer(call);
        return viewer ? await handler(viewer, parameter, request) : redirectToSignIn(request);
      }),
    sessionForm: (handler) =>
      serve(async (call, parameter) => {
        // The body first: it may arrive slowly, and the session must be valid when the handler runs.
        const form = sessions.hasSameOrigin(call) ? await readPageForm(call) : undefined;
        const viewer = await sessions.readViewer(call);
        if (!viewer) return { redirect: "/sign-in" };
        if (!form || !sessions.isCsrfTokenValid(viewer, form.get("csrf"))) return formExpired;
        return await handler(viewer, form, parameter);
      }),
    fault: () => ({
      status: 503,
      headers: { ...pageHeaders, "retry-after": "2" },
      body: String(renderMessage("fault", undefined)),
    }),
  };
}

function redirectToSignIn(request: Request): PageResult {
  const { pathname, searchParams } = new URL(request.url);
  const via = searchParams.get("via");
  const next = /^[a-z]{1,20}$/.test(via ?? "") ? `${pathname}?via=${via}` : pathname;
  return { redirect: `/sign-in?next=${encodeURIComponent(next)}` };
}

async function readPageForm(call: ProtocolRequest): Promise<Form | undefined> {
  try {
    return await readForm(call);
  } catch (error) {
    if (error instanceof OAuthError) return undefined;
    throw error;
  }
}

const pageHeaders = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": contentSecurityPolicy,
  "cache-control": "no-store",
  "cross-origin-opener-policy": "same-origin",
  "permissions-policy": "publickey-credentials-get=(self), publickey-credentials-create=(self)",
  ...securityHeaders,
};

function renderMessage(name: MessageName, viewer: Viewer | undefined): Html {
  return renderMessagePage({
    message: name,
    approverName: viewer?.approver.name,
    nextLink: viewer && { href: "/inbox", label: "Go to the inbox" },
  });
}
