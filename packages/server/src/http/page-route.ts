/**
 * The approver's pages in the route table. GET never decides and never changes what is asked; every POST needs an
 * origin that is ours, and, where somebody is signed in, the session's stamp. Refusals become pages in one place.
 */
import { type Context, Hono } from "hono";
import { routePath } from "hono/route";
import { aboutPage } from "../pages/about.ts";
import { findAsset } from "../pages/asset.ts";
import { type MessageName, messagePage } from "../pages/message.ts";
import { contentSecurityPolicy, type Html } from "../pages/page.ts";
import { type Answer, everyAnswer, responseOf } from "./answer.ts";
import { type Call, callOf } from "./call.ts";
import { decideOnCard, pauseFromCard, showCard } from "./endpoints/card.ts";
import { addDevice, removeOneDevice, showDevices } from "./endpoints/device.ts";
import { finishEnrolment, showEnrolment, showEnrolmentElsewhere } from "./endpoints/enrolment.ts";
import { inboxEvents, showInbox } from "./endpoints/inbox.ts";
import { finishSignIn, finishSignOut, showSignIn } from "./endpoints/sign-in.ts";
import { type Form, readForm } from "./form.ts";
import type { HttpGround } from "./ground.ts";
import type { Endpoint } from "./machine.ts";
import { OAuthError } from "./oauth-error.ts";
import type { PageAnswer, Said } from "./page-answer.ts";
import { csrfHolds, fromOurPage, readVisitor, type Visitor } from "./session.ts";

type Handler = (ground: HttpGround, call: Call, parameter: string, request: Request) => Promise<PageAnswer>;
/** One that needs no more than what it is posted. */
type PostHandler = (ground: HttpGround, call: Call, parameter: string) => Promise<PageAnswer>;
type VisitorHandler = (
  ground: HttpGround,
  visitor: Visitor,
  parameter: string,
  request: Request,
) => Promise<PageAnswer>;
type FormHandler = (ground: HttpGround, form: Form, parameter: string) => Promise<PageAnswer>;
type VisitorFormHandler = (
  ground: HttpGround,
  visitor: Visitor,
  form: Form,
  parameter: string,
) => Promise<PageAnswer>;

export function pageRoutes(ground: HttpGround): Hono {
  const app = new Hono();
  const answer = (handler: Handler) => async (context: Context) => {
    const { raw } = context.req;
    const call = callOf(raw);
    const answer = await handler(ground, call, context.req.param("id") ?? "", raw);
    return answer instanceof Response ? answer : responseOf(await render(ground, call, answer));
  };

  app.onError((fault, context) => {
    // The route and not the path: an invitation's path is its secret.
    ground.onFault(fault, `${context.req.method} ${routePath(context)}`);
    return responseOf(renderFault());
  });

  app.get(
    "/",
    answer(async (_, call) => ({
      page: aboutPage({
        issuer: ground.config.issuer,
        approverName: (await readVisitor(ground, call))?.approver.name,
      }),
    })),
  );
  app.get("/assets/:id", (context) => asset(context.req.param("id"), context.req.query("v")));

  app.get("/enrol/:id", answer(open(showEnrolment)));
  app.get("/enrol/:id/elsewhere", answer(open(showEnrolmentElsewhere)));
  app.post("/enrol/:id", answer(posted(finishEnrolment)));
  app.get(
    "/sign-in",
    answer((_, __, ___, request) => showSignIn(ground, request)),
  );
  app.post("/sign-in", answer(posted(finishSignIn)));
  app.post("/sign-out", answer(signed(finishSignOut)));

  app.get("/inbox", answer(visited(showInbox)));
  app.get("/inbox/events", answer(visited(inboxEvents)));
  app.get("/requests/:id", answer(visited(showCard)));
  app.post(decisionRoute, answer(decideSigned));
  app.post("/requests/:id/pause-agent", answer(signed(pauseFromCard)));
  app.get("/devices", answer(visited(showDevices)));
  app.post("/devices/add", answer(signed(addDevice)));
  app.post("/devices/:id/remove", answer(signed(removeOneDevice)));

  // Clients that insist on an authorization endpoint find a page that says what this server is for.
  app.get(
    "/authorize",
    answer(async () => ({ say: "no_browser_flow", status: 400 })),
  );
  return app;
}

function open(handler: (ground: HttpGround, parameter: string) => Promise<PageAnswer>): Handler {
  return (ground, _, parameter) => handler(ground, parameter);
}

/** For those who are signed in; others go and sign in, and come back. */
function visited(handler: VisitorHandler): Handler {
  return async (ground, call, parameter, request) => {
    const visitor = await readVisitor(ground, call);
    if (visitor) return await handler(ground, visitor, parameter, request);
    const { pathname, searchParams } = new URL(request.url);
    const via = searchParams.get("via");
    const next = /^[a-z]{1,20}$/.test(via ?? "") ? `${pathname}?via=${via}` : pathname;
    return { go: `/sign-in?next=${encodeURIComponent(next)}` };
  };
}

function posted(handler: FormHandler): PostHandler {
  return async (ground, call, parameter) => {
    const form = fromOurPage(ground, call) ? await readPageForm(call) : undefined;
    return form ? await handler(ground, form, parameter) : { say: "form_expired", status: 403 };
  };
}

function signed(handler: VisitorFormHandler): PostHandler {
  return async (ground, call, parameter) => {
    // The body first: it may come slowly, and who is there must be known for the instant at which something happens.
    const form = fromOurPage(ground, call) ? await readPageForm(call) : undefined;
    const visitor = await readVisitor(ground, call);
    if (!visitor) return { go: "/sign-in" };
    if (!form || !csrfHolds(ground, visitor, form.get("csrf"))) return { say: "form_expired", status: 403 };
    return await handler(ground, visitor, form, parameter);
  };
}

async function readPageForm(call: Call): Promise<Form | undefined> {
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
  ...everyAnswer,
};

/** Who is there is asked only where the page is made here: a handler that makes its own has asked already. */
async function render(ground: HttpGround, call: Call, answer: Said): Promise<Answer> {
  const headers = answer.cookie === undefined ? pageHeaders : { ...pageHeaders, "set-cookie": answer.cookie };
  if ("go" in answer) return { status: 303, headers: { ...headers, location: answer.go }, body: "" };
  const { status = 200 } = answer;
  if ("page" in answer) return { status, headers, body: String(answer.page) };
  const body = String(message(answer.say, await readVisitor(ground, call)));
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
export function decisionAt(path: string): Endpoint | undefined {
  const id = decisionPath.exec(path)?.[1];
  return id === undefined ? undefined : (ground, call) => answerDecision(ground, call, id);
}

const decideSigned = signed(decideOnCard);

async function answerDecision(ground: HttpGround, call: Call, id: string): Promise<Answer> {
  try {
    const answer = await decideSigned(ground, call, id);
    if (answer instanceof Response) throw new Error("a decision is answered with a page or a place to go");
    return await render(ground, call, answer);
  } catch (fault) {
    ground.onFault(fault, `POST ${decisionRoute}`);
    return renderFault();
  }
}

function message(name: MessageName, visitor: Visitor | undefined): Html {
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
