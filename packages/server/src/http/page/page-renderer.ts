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
  request: ProtocolRequest,
  parameter: string,
  fetchRequest: Request | undefined,
) => Promise<ProtocolResponse | Response>;

const formExpired: PageResult = { message: "form_expired", status: 403 };

export function createPageRenderer(sessions: BrowserSessions): PageRenderer {
  const serve =
    (
      run: (request: ProtocolRequest, parameter: string, fetchRequest: Request) => Promise<PageResult>,
    ): ServePage =>
    async (request, parameter, fetchRequest) => {
      const result = await run(request, parameter, fetchRequest as Request);
      return result instanceof Response ? result : await render(request, result);
    };

  async function render(request: ProtocolRequest, result: PageMessage): Promise<ProtocolResponse> {
    const headers =
      result.cookie === undefined ? pageHeaders : { ...pageHeaders, "set-cookie": result.cookie };
    if ("redirect" in result)
      return { status: 303, headers: { ...headers, location: result.redirect }, body: "" };
    const { status = 200 } = result;
    if ("page" in result) return { status, headers, body: String(result.page) };
    const body = String(renderMessage(result.message, await sessions.readViewer(request)));
    return { status, headers: status === 503 ? { ...headers, "retry-after": "2" } : headers, body };
  }

  return {
    page: (handler) =>
      serve((request, parameter, fetchRequest) =>
        handler(() => sessions.readViewer(request), parameter, fetchRequest),
      ),
    form: (handler) =>
      serve(async (request, parameter) => {
        const form = sessions.hasSameOrigin(request) ? await readPageForm(request) : undefined;
        return form ? await handler(form, parameter) : formExpired;
      }),
    sessionPage: (handler) =>
      serve(async (request, parameter, fetchRequest) => {
        const viewer = await sessions.readViewer(request);
        return viewer ? await handler(viewer, parameter, fetchRequest) : redirectToSignIn(fetchRequest);
      }),
    sessionForm: (handler) =>
      serve(async (request, parameter) => {
        // The body first: it may arrive slowly, and the session must be valid when the handler runs.
        const form = sessions.hasSameOrigin(request) ? await readPageForm(request) : undefined;
        const viewer = await sessions.readViewer(request);
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

function redirectToSignIn(fetchRequest: Request): PageResult {
  const { pathname, searchParams } = new URL(fetchRequest.url);
  const via = searchParams.get("via");
  const next = /^[a-z]{1,20}$/.test(via ?? "") ? `${pathname}?via=${via}` : pathname;
  return { redirect: `/sign-in?next=${encodeURIComponent(next)}` };
}

async function readPageForm(request: ProtocolRequest): Promise<Form | undefined> {
  try {
    return await readForm(request);
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
