/** Endpoints of an invitation. Opening the page does not use the invitation; registering a passkey does. */
import { type Attestation, parsePasskeyResponse } from "../../../crypto/passkey.ts";
import { type OtherDeviceLink, renderEnrolPage, renderOtherDevicePage } from "../../../page/enrol.ts";
import { renderQrCode } from "../../../page/qr-code.ts";
import { type EnrolDeps, enrol, openEnrolment, readInvitation } from "../../../usecase/people/enrol.ts";
import type { Form } from "../../oauth/form.ts";
import type { FormHandler, PageHandler } from "../../route.ts";
import type { PageResult } from "../page-result.ts";
import type { BrowserSessions } from "../session.ts";

export type EnrolmentDeps = EnrolDeps & { readonly issuer: string; readonly sessions: BrowserSessions };

export function createEnrolmentHandlers(deps: EnrolmentDeps): {
  readonly show: PageHandler;
  readonly showLink: PageHandler;
  readonly finish: FormHandler;
} {
  return {
    show: (_, secret) => showEnrolment(deps, secret),
    showLink: (_, secret) => showEnrolmentLink(deps, secret),
    finish: (form, secret) => finishEnrolment(deps, form, secret),
  };
}

const linkExpired: PageResult = { message: "link_expired", status: 410 };

async function showEnrolment(deps: EnrolmentDeps, secret: string, problem?: string): Promise<PageResult> {
  const invitation = await readInvitation(deps, secret);
  if ("refused" in invitation) return linkExpired;
  const { approver } = invitation;
  const { ceremony, options } = await openEnrolment(deps, approver);
  const page = renderEnrolPage({
    approverName: approver.name,
    email: approver.email,
    token: secret,
    ceremony: { token: ceremony, options },
    otherDevice: await createOtherDeviceLink(deps, secret),
    problem,
  });
  return { page, status: problem === undefined ? 200 : 409 };
}

/** Shows the invitation's link and QR code to an approver who adds a device. */
async function showEnrolmentLink(deps: EnrolmentDeps, secret: string): Promise<PageResult> {
  const invitation = await readInvitation(deps, secret);
  if ("refused" in invitation) return linkExpired;
  const otherDevice = await createOtherDeviceLink(deps, secret);
  return {
    page: renderOtherDevicePage({ approverName: invitation.approver.name, token: secret, otherDevice }),
  };
}

async function createOtherDeviceLink({ issuer }: EnrolmentDeps, secret: string): Promise<OtherDeviceLink> {
  const address = `${issuer}/enrol/${encodeURIComponent(secret)}`;
  return { address, qrCode: await renderQrCode(address) };
}

async function finishEnrolment(deps: EnrolmentDeps, form: Form, secret: string): Promise<PageResult> {
  const invitation = await readInvitation(deps, secret);
  if ("refused" in invitation) return linkExpired;
  const attestation = parsePasskeyResponse<Attestation>(form.get("attestation"));
  if (!attestation)
    return await showEnrolment(deps, secret, "No passkey was received. This device was not added.");
  const result = await enrol(deps, {
    approver: invitation.approver,
    invitation: invitation.found,
    ceremony: form.get("ceremony") ?? "",
    attestation,
    name: normalizeDeviceName(form.get("device")),
  });
  if (!("refused" in result)) return { redirect: "/inbox", cookie: deps.sessions.createCookie(result) };
  if (result.refused === "unknown_invitation") return linkExpired;
  return await showEnrolment(
    deps,
    secret,
    "The passkey could not be verified. This device was not added. Please try again.",
  );
}

function normalizeDeviceName(text: string | undefined): string {
  return [
    ...(text ?? "")
      .normalize("NFC")
      .replace(/[\p{C}\s]+/gu, " ")
      .trim(),
  ]
    .slice(0, 60)
    .join("");
}
