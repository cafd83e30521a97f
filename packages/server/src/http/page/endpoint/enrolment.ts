/** The page behind an invitation. Opening it uses nothing up; the passkey that is made there does. */
import { type Attestation, parseAnswer } from "../../../crypto/passkey.ts";
import { enrolOtherDevicePage, enrolPage, type OtherDeviceLink } from "../../../page/enrol.ts";
import { qrCode } from "../../../page/qr-code.ts";
import { enrol, openEnrolment, readInvitation } from "../../../usecase/people/enrol.ts";
import type { HttpDeps } from "../../deps.ts";
import type { Form } from "../../oauth/form.ts";
import type { PageResult } from "../page-result.ts";
import { sessionCookie } from "../session.ts";

const expired: PageResult = { say: "link_expired", status: 410 };

export async function showEnrolment(deps: HttpDeps, secret: string, problem?: string): Promise<PageResult> {
  const invitation = await readInvitation(deps.store, secret);
  if ("refused" in invitation) return expired;
  const { approver } = invitation;
  const { ceremony, options } = await openEnrolment(deps, approver);
  const page = enrolPage({
    approverName: approver.name,
    email: approver.email,
    token: secret,
    ceremony: { token: ceremony, options },
    elsewhere: await otherDeviceLink(deps, secret),
    problem,
  });
  return { page, status: problem === undefined ? 200 : 409 };
}

/** Where an approver who adds a device is led: to the other one. */
export async function showEnrolmentLink(deps: HttpDeps, secret: string): Promise<PageResult> {
  const invitation = await readInvitation(deps.store, secret);
  if ("refused" in invitation) return expired;
  const elsewhere = await otherDeviceLink(deps, secret);
  return { page: enrolOtherDevicePage({ approverName: invitation.approver.name, token: secret, elsewhere }) };
}

async function otherDeviceLink({ config }: HttpDeps, secret: string): Promise<OtherDeviceLink> {
  const address = `${config.issuer}/enrol/${encodeURIComponent(secret)}`;
  return { address, qrCode: await qrCode(address) };
}

export async function finishEnrolment(deps: HttpDeps, form: Form, secret: string): Promise<PageResult> {
  const invitation = await readInvitation(deps.store, secret);
  if ("refused" in invitation) return expired;
  const attestation = parseAnswer<Attestation>(form.get("attestation"));
  if (!attestation) return await showEnrolment(deps, secret, "No passkey arrived. Nothing was enrolled.");
  const answer = await enrol(deps, {
    approver: invitation.approver,
    invitation: invitation.found,
    ceremony: form.get("ceremony") ?? "",
    attestation,
    name: deviceName(form.get("device")),
  });
  if (!("refused" in answer)) return { go: "/inbox", cookie: sessionCookie(deps, answer) };
  if (answer.refused === "unknown_invitation") return expired;
  return await showEnrolment(
    deps,
    secret,
    "The passkey could not be accepted. Nothing was enrolled; please try again.",
  );
}

function deviceName(text: string | undefined): string {
  return [
    ...(text ?? "")
      .normalize("NFC")
      .replace(/[\p{C}\s]+/gu, " ")
      .trim(),
  ]
    .slice(0, 60)
    .join("");
}
