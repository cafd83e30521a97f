/**
 * The approver's pages in the route table. GET never decides and never changes what is asked; every POST needs an
 * origin that is ours, and, where somebody is signed in, the session's stamp. Refusals become pages in one place.
 */
import { type Context, Hono } from "hono";
import { routePath } from "hono/route";
import { aboutPage } from "../../page/about.ts";
import { findAsset } from "../../page/asset.ts";
import { contentSecurityPolicy, type Html } from "../../page/layout.ts";
import { type MessageName, messagePage } from "../../page/message.ts";
import type { HttpDeps } from "../deps.ts";
import { type Form, readForm } from "../oauth/form.ts";
import { OAuthError } from "../oauth/oauth-error.ts";
import type { Endpoint } from "../protocol-routes.ts";
import { fromFetchRequest, type ProtocolRequest } from "../transport/protocol-request.ts";
import { type Answer, responseOf, securityHeaders } from "../transport/response.ts";
import { decideOnCard, pauseAgentFromCard, showCard } from "./endpoint/card.ts";
import { addDevice, removeOneDevice, showDevices } from "./endpoint/device.ts";
import { finishEnrolment, showEnrolment, showEnrolmentLink } from "./endpoint/enrolment.ts";
import { inboxEvents, showInbox } from "./endpoint/inbox.ts";
import { finishSignIn, finishSignOut, showSignIn } from "./endpoint/sign-in.ts";
import type { PageMessage, PageResult } from "./page-result.ts";
import { hasSameOrigin, isCsrfTokenValid, readViewer, type Viewer } from "./session.ts";

type Handler = (
  deps: HttpDeps,
  call: ProtocolRequest,
  parameter: string,
  request: Request,
) => Promise<PageResult>;
/** One that needs no more than what it is posted. */
type PostHandler = (deps: HttpDeps, call: ProtocolRequest, parameter: string) => Promise<PageResult>;
type VisitorHandler = (
  deps: HttpDeps,
  visitor: Viewer,
  parameter: string,
  request: Request,
) => Promise<PageResult>;
type FormHandler = (deps: HttpDeps, form: Form, parameter: string) => Promise<PageResult>;
type VisitorFormHandler = (
  deps: HttpDeps,
  visitor: Viewer,
  form: Form,
  parameter: string,
) => Promise<PageResult>;

export function pageRoutes(deps: HttpDeps): Hono {
  const app = new Hono();
  const answer = (handler: Handler) => async (context: Context) => {
    const { raw } = context.req;
    const call = fromFetchRequest(raw);
    const answer = await handler(deps, call, context.req.param("id") ?? "", raw);
    return answer instanceof Response ? answer : responseOf(await render(deps, call, answer));
  };

  app.onError((fault, context) => {
    // The route and not the path: an invitation's path is its secret.
    deps.onFault(fault, `${context.req.method} ${routePath(context)}`);
    return responseOf(renderFault());
  });

  app.get(
    "/",
    answer(async (_, call) => ({
      page: aboutPage({
        issuer: deps.config.issuer,
        approverName: (await readViewer(deps, call))?.approver.name,
      }),
    })),
  );
  app.get("/assets/:id", (context) => asset(context.req.param("id"), context.req.query("v")));

  app.get("/enrol/:id", answer(open(showEnrolment)));
  app.get("/enrol/:id/elsewhere", answer(open(showEnrolmentLink)));
  app.post("/enrol/:id", answer(withForm(finishEnrolment)));
  app.get(
    "/sign-in",
    answer((_, __, ___, request) => showSignIn(deps, request)),
  );
  app.post("/sign-in", answer(withForm(finishSignIn)));
  app.post("/sign-out", answer(withCsrf(finishSignOut)));

  app.get("/inbox", answer(requireSession(showInbox)));
  app.get("/inbox/events", answer(requireSession(inboxEvents)));
  app.get("/requests/:id", answer(requireSession(showCard)));
  app.post(decisionRoute, answer(decideWithCsrf));
  app.post("/requests/:id/pause-agent", answer(withCsrf(pauseAgentFromCard)));
  app.get("/devices", answer(requireSession(showDevices)));
  app.post("/devices/add", answer(withCsrf(addDevice)));
  app.post("/devices/:id/remove", answer(withCsrf(removeOneDevice)));

  // Clients that insist on an authorization endpoint find a page that says what this server is for.
  app.get(
    "/authorize",
    answer(async () => ({ say: "no_browser_flow", status: 400 })),
  );
  return app;
}

function open(handler: (deps: HttpDeps, parameter: string) => Promise<PageResult>): Handler {
  return (deps, _, parameter) => handler(deps, parameter);
}

/** For those who are signed in; others go and sign in, and come back. */
function requireSession(handler: VisitorHandler): Handler {
  return async (deps, call, parameter, request) => {
    const visitor = await readViewer(deps, call);
    if (visitor) return await handler(deps, visitor, parameter, request);
    const { pathname, searchParams } = new URL(request.url);
    const via = searchParams.get("via");
    const next = /^[a-z]{1,20}$/.test(via ?? "") ? `${pathname}?via=${via}` : pathname;
    return { go: `/sign-in?next=${encodeURIComponent(next)}` };
  };
}

function withForm(handler: FormHandler): PostHandler {
  return async (deps, call, parameter) => {
    const form = hasSameOrigin(deps, call) ? await readPageForm(call) : undefined;
    return form ? await handler(deps, form, parameter) : { say: "form_expired", status: 403 };
  };
}

function withCsrf(handler: VisitorFormHandler): PostHandler {
  return async (deps, call, parameter) => {
    // The body first: it may come slowly, and who is there must be known for the instant at which something happens.
    const form = hasSameOrigin(deps, call) ? await readPageForm(call) : undefined;
    const visitor = await readViewer(deps, call);
    if (!visitor) return { go: "/sign-in" };
    if (!form || !isCsrfTokenValid(deps, visitor, form.get("csrf")))
      return { say: "form_expired", status: 403 };
    return await handler(deps, visitor, form, parameter);
  };
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

/** Who is there is asked only where the page is made here: a handler that makes its own has asked already. */
async function render(deps: HttpDeps, call: ProtocolRequest, answer: PageMessage): Promise<Answer> {
  const headers = answer.cookie === undefined ? pageHeaders : { ...pageHeaders, "set-cookie": answer.cookie };
  if ("go" in answer) return { status: 303, headers: { ...headers, location: answer.go }, body: "" };
  const { status = 200 } = answer;
  if ("page" in answer) return { status, headers, body: String(answer.page) };
  const body = String(message(answer.say, await readViewer(deps, call)));
  return { status, headers: status === 503 ? { ...headers, "retry-after": "2" } : headers, body };
}

/** Whoever is there is not asked for: that may be what failed. */
function renderFault(): Answer {
  return {
    status: 503,
    headers: { ...pageHeaders, "retry-after": "2" },
    body: String(message("fault", undefined)),
  };
}

/** The form by which somebody decides comes as often as asks do: it goes the way of what machines post. */
export const decisionRoute = "/requests/:id/decision";
const decisionPath = /^\/requests\/([a-z0-9_]{1,64})\/decision$/;

/** Answers what takes the form that was posted to this path, if it is one that decides. */
export function findDecision(path: string): Endpoint | undefined {
  const id = decisionPath.exec(path)?.[1];
  return id === undefined ? undefined : (deps, call) => answerDecision(deps, call, id);
}

const decideWithCsrf = withCsrf(decideOnCard);

async function answerDecision(deps: HttpDeps, call: ProtocolRequest, id: string): Promise<Answer> {
  try {
    const answer = await decideWithCsrf(deps, call, id);
    if (answer instanceof Response) throw new Error("a decision is answered with a page or a place to go");
    return await render(deps, call, answer);
  } catch (fault) {
    deps.onFault(fault, `POST ${decisionRoute}`);
    return renderFault();
  }
}

function message(name: MessageName, visitor: Viewer | undefined): Html {
  return messagePage({
    message: name,
    approverName: visitor?.approver.name,
    onward: visitor && { href: "/inbox", label: "To the inbox" },
  });
}

function asset(name: string, version: string | undefined): Response {
  const found = findAsset(name);
  if (!found) return new Response("not found", { status: 404 });
  const fresh = version === found.hash ? "public, max-age=31536000, immutable" : "no-cache";
  return new Response(found.body, {
    headers: { "content-type": found.contentType, etag: found.etag, "cache-control": fresh },
  });
}
