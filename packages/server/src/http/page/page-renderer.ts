/**
 * Serves the page rows of the route table: guards (session, same origin, CSRF token) and rendering. GET never decides and
 * never changes a request.
 */
import { renderContinuePage } from "../../page/continue.ts";
import { contentSecurityPolicy, type Html } from "../../page/layout.ts";
import { type MessageName, renderMessagePage } from "../../page/message.ts";
import { type Form, readForm } from "../oauth/form.ts";
import { OAuthError } from "../oauth/oauth-error.ts";
import type {
  FormHandler,
  FormPageHandler,
  PageHandler,
  SessionFormHandler,
  SessionPageHandler,
} from "../route.ts";
import type { ProtocolRequest } from "../transport/protocol-request.ts";
import { type ProtocolResponse, securityHeaders } from "../transport/response.ts";
import type { PageMessage, PageResult } from "./page-result.ts";
import type { BrowserSessions, Viewer } from "./session.ts";

export type PageRenderer = {
  readonly page: (handler: PageHandler) => ServePage;
  readonly form: (handler: FormHandler) => ServePage;
  readonly sessionPage: (handler: SessionPageHandler) => ServePage;
  readonly sessionForm: (handler: SessionFormHandler, showAgain: FormPageHandler) => ServePage;
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
const earlyText =
  "The button was pressed before this page could be read. Nothing was changed. Please read it, then try again.";

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
        if (!viewer) return { redirect: `/sign-in?next=${encodeURIComponent(readReturnPath(fetchRequest))}` };
        if (isFromAnotherSite(fetchRequest))
          return {
            page: renderContinuePage({
              href: readReturnPath(fetchRequest),
              approverName: viewer.approver.name,
            }),
          };
        return await handler(viewer, parameter, fetchRequest);
      }),
    sessionForm: (handler, showAgain) =>
      serve(async (request, parameter) => {
        // The body first: it may arrive slowly, and the session must be valid when the handler runs.
        const form = sessions.hasSameOrigin(request) ? await readPageForm(request) : undefined;
        const viewer = await sessions.readViewer(request);
        if (!viewer) return { redirect: "/sign-in" };
        const token = form ? sessions.checkCsrfToken(viewer, form.get("csrf")) : "invalid";
        if (!form || token === "invalid") return formExpired;
        if (token === "early") return await showAgain(viewer, form, parameter, earlyText);
        return await handler(viewer, form, parameter);
      }),
    fault: () => ({
      status: 503,
      headers: { ...pageHeaders, "retry-after": "2" },
      body: String(renderMessage("fault", undefined)),
    }),
  };
}

/**
 * Returns true if a page of another site opened this one (Fetch Metadata). Such a page chooses the moment, so the approver
 * continues by a link of this site. Typed addresses and links of mail programs are `none`.
 */
function isFromAnotherSite({ headers }: Request): boolean {
  const site = headers.get("sec-fetch-site");
  return site === "cross-site" || site === "same-site";
}

/** Returns the path of the requested page, with its channel. */
function readReturnPath(fetchRequest: Request): string {
  const { pathname, searchParams } = new URL(fetchRequest.url);
  const via = searchParams.get("via");
  return /^[a-z]{1,20}$/.test(via ?? "") ? `${pathname}?via=${via}` : pathname;
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
