/**
 * An automated approver, for servers under test only. A suite requests allow or deny, and the approver decides through the
 * approver's pages as a browser would, with the session of a device that is enrolled for tests and under the same policy. Its
 * passkey is discarded after enrolment, so it cannot sign: the server refuses actions of level `passkey-signed`. Its decisions
 * are marked as test in the audit log, because its device is.
 *
 * An agent under test knows its `auth_req_id` and must not be able to decide: the approver listens on loopback, with a secret in
 * its path.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createVirtualAuthenticator } from "@countersign/testing/browser/virtual-authenticator";
import {
  findForm,
  readHiddenFields,
  readPasskeyOptions,
  toRequestId,
} from "@countersign/testing/server/deployment";
import {
  type Card,
  type CardRow,
  formatCardSummary,
  getCardParts,
  toPlainText,
} from "../packages/server/src/domain/action/card.ts";
import { type ApprovalRequest, getRequestState } from "../packages/server/src/domain/request/request.ts";
import { minFormAgeMs } from "../packages/server/src/http/page/session.ts";
import type { Call, CallResult } from "./call.ts";

export type HeadlessApprover = {
  /** URL template with `{auth_req_id}` and `{action}`. POST decides; GET returns the card and needs no action. */
  readonly url: string;
  /** Listening address. */
  readonly address: string;
  /** The same without a socket, for callers in this process. */
  readonly decide: (authReqId: string, action: string, reason?: string) => Promise<ApproverResponse>;
  readonly close: () => Promise<void>;
};

export type ApproverResponse = { readonly status: number; readonly body: Readonly<Record<string, unknown>> };

export type HeadlessApproverDeps = {
  /** Calls a page of the server. */
  readonly call: (path: string, given?: Call) => Promise<CallResult>;
  readonly origin: string;
  readonly rpId: string;
  /** The secret of an invitation that is marked as test. */
  readonly invitation: string;
  readonly readRequest: (requestId: string) => Promise<ApprovalRequest | undefined>;
  /** Called with the key of each stored denial. */
  readonly afterDenial?: (denialId: string) => Promise<unknown>;
};

/** The only possible address; it cannot be exposed to other machines. */
const loopback = "127.0.0.1";

export async function openHeadlessApprover(deps: HeadlessApproverDeps): Promise<HeadlessApprover> {
  const cookie = await enrol(deps);
  // The server refuses a form that arrives at once; this page stays open.
  const { csrf = "" } = readHiddenFields((await deps.call("/devices", { headers: { cookie } })).text);
  const openedAt = performance.now();
  const path = `/${randomBytes(32).toString("base64url")}`;
  const decide: HeadlessApprover["decide"] = async (authReqId, action, reason) => {
    const age = performance.now() - openedAt;
    if (age < minFormAgeMs + 50) await sleep(minFormAgeMs + 50 - age);
    return await decideAs(deps, { cookie, csrf }, authReqId, action, reason);
  };

  const listener = createServer((request, response) => {
    handleRequest(request)
      .catch((error: unknown) => createError(502, "server_unreachable", String(error)))
      .then((result) => send(response, result));
  });
  async function handleRequest({ method, url = "/" }: IncomingMessage): Promise<ApproverResponse> {
    const target = new URL(url, "http://approver");
    if (!isSamePath(target.pathname, path)) return createError(404, "not_found", "there is nothing here");
    const authReqId = target.searchParams.get("auth_req_id") ?? "";
    if (method === "GET") return await readCard(deps, authReqId);
    if (method !== "POST") return createError(405, "method_not_allowed", "GET shows, POST decides");
    const action = target.searchParams.get("action") ?? "";
    return await decide(authReqId, action, target.searchParams.get("reason") ?? undefined);
  }
  listener.listen(0, loopback);
  await once(listener, "listening");
  const { address, port } = listener.address() as AddressInfo;
  return {
    url: `http://${loopback}:${port}${path}?auth_req_id={auth_req_id}&action={action}`,
    address,
    decide,
    close: async () => {
      listener.closeAllConnections();
      listener.close();
      await once(listener, "close");
    },
  };
}

/** Enrols a device. Returns the session cookie; the passkey is discarded. */
async function enrol({ call, origin, rpId, invitation }: HeadlessApproverDeps): Promise<string> {
  const path = `/enrol/${invitation}`;
  const page = (await call(path)).text;
  const attestation = createVirtualAuthenticator({ rpId, origin }).createAttestation(
    readPasskeyOptions(page),
  );
  const form = {
    ...readHiddenFields(page),
    attestation: JSON.stringify(attestation),
    device: "Headless approver (test)",
  };
  const enrolled = await call(path, {
    method: "POST",
    headers: { ...formHeaders, origin },
    body: encode(form),
  });
  const [cookie] = enrolled.headers["set-cookie"] ?? [];
  if (enrolled.status !== 303 || cookie === undefined)
    throw new Error(`the headless approver could not be enrolled: ${enrolled.status}`);
  return cookie.split(";")[0] ?? "";
}

async function decideAs(
  { call, origin, readRequest, afterDenial }: HeadlessApproverDeps,
  { cookie, csrf }: { readonly cookie: string; readonly csrf: string },
  authReqId: string,
  action: string,
  reason: string | undefined,
): Promise<ApproverResponse> {
  if (action !== "allow" && action !== "deny")
    return createError(400, "invalid_request", "action is allow or deny");
  const verdict = action === "allow" ? "approve" : "deny";
  const id = toRequestId(authReqId);
  const path = `/requests/${encodeURIComponent(id)}`;
  const card = await call(path, { headers: { cookie } });
  const approval = card.status === 200 ? await readRequest(id) : undefined;
  if (!approval) return unknownRequest();
  const fields = readHiddenFields(findForm(card.text, verdict));
  if (verdict === "approve" && fields.card === undefined)
    return createError(409, "cannot_approve", describeRefusal(approval));
  const form = { ...fields, csrf, verdict, ...(reason !== undefined && { reason }) };
  const decided = await call(`${path}/decision`, {
    method: "POST",
    headers: { ...formHeaders, cookie, origin },
    body: encode(form),
  });
  if (decided.status !== 303) return createError(409, `cannot_${verdict}`, describeRefusal(approval));
  if (verdict === "deny") for (const { denyKey } of approval.parts) await afterDenial?.(denyKey);
  return { status: 200, body: { request: id, action } };
}

/** Describes a refusal of the server in general terms. */
function describeRefusal({ level, status }: ApprovalRequest): string {
  if (status.state !== "pending") return `the request is ${status.state}`;
  if (level === "passkey-signed")
    return "approving this takes a passkey's signature, and the headless approver has no passkey";
  if (level === "passkey")
    return "approving this takes a passkey that was used just now, and the headless approver has none";
  return "the server did not take the decision";
}

/** Returns the card, before or after the decision. */
async function readCard({ readRequest }: HeadlessApproverDeps, authReqId: string): Promise<ApproverResponse> {
  const approval = await readRequest(toRequestId(authReqId));
  if (!approval) return unknownRequest();
  const { card, decideBy, expiresAt } = approval;
  const now = Date.now();
  const secondsLeft = Math.max(0, Math.floor((decideBy - now) / 1000));
  return {
    status: 200,
    body: {
      request: approval.id,
      state: getRequestState({ ...approval, expiresAt }, now),
      ...render(card),
      time_left: secondsLeft,
    },
  };
}

function render(card: Card) {
  const { agent, words, reversibility, level, audience, digest } = card;
  const toPlainRows = (given: readonly CardRow[]) => given.map(({ label, value }) => ({ label, value }));
  const parts = getCardParts(card).map((part) => ({
    sentence: toPlainText(part.sentence),
    rows: toPlainRows(part.rows),
    words: toPlainRows(part.words.rows),
  }));
  return {
    sentence: formatCardSummary(card),
    rows: parts.flatMap(({ rows }) => rows),
    /** The agent's own words on the card. */
    message: words.message ?? null,
    words: parts.flatMap((part) => part.words),
    /** The same for each part; a single action has one part. */
    parts,
    agent: { id: agent.id, name: agent.name },
    reversibility,
    level,
    audience,
    digest,
  };
}

const formHeaders = { "content-type": "application/x-www-form-urlencoded" };

function encode(form: Readonly<Record<string, string>>): string {
  return new URLSearchParams(form).toString();
}

function unknownRequest(): ApproverResponse {
  return createError(404, "unknown_request", "no request of that id is this approver's to decide");
}

function createError(status: number, error: string, description: string): ApproverResponse {
  return { status, body: { error, error_description: description } };
}

function send(response: ServerResponse, { status, body }: ApproverResponse): void {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(body));
}

/** Compares the path with the secret path in constant time. */
function isSamePath(given: string, path: string): boolean {
  const [a, b] = [given, path].map((text) => createHash("sha256").update(text).digest());
  return timingSafeEqual(a!, b!);
}
