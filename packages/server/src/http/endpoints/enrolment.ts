/** The page behind an invitation. Opening it uses nothing up; the passkey that is made there does. */
import { type Attestation, parseAnswer } from "../../approver/passkey.ts";
import { enrol, openEnrolment, readInvitation } from "../../operations/enrol.ts";
import { type Elsewhere, enrolElsewherePage, enrolPage } from "../../pages/enrol.ts";
import { qrCode } from "../../pages/qr-code.ts";
import type { Form } from "../form.ts";
import type { HttpGround } from "../ground.ts";
import type { PageAnswer } from "../page-answer.ts";
import { sessionCookie } from "../session.ts";

const expired: PageAnswer = { say: "link_expired", status: 410 };

export async function showEnrolment(
  ground: HttpGround,
  secret: string,
  problem?: string,
): Promise<PageAnswer> {
  const invitation = await readInvitation(ground.store, secret);
  if ("refused" in invitation) return expired;
  const { approver } = invitation;
  const { ceremony, options } = await openEnrolment(ground, approver);
  const page = enrolPage({
    approverName: approver.name,
    email: approver.email,
    token: secret,
    ceremony: { token: ceremony, options },
    elsewhere: await elsewhereOf(ground, secret),
    problem,
  });
  return { page, status: problem === undefined ? 200 : 409 };
}

/** Where an approver who adds a device is led: to the other one. */
export async function showEnrolmentElsewhere(ground: HttpGround, secret: string): Promise<PageAnswer> {
  const invitation = await readInvitation(ground.store, secret);
  if ("refused" in invitation) return expired;
  const elsewhere = await elsewhereOf(ground, secret);
  return { page: enrolElsewherePage({ approverName: invitation.approver.name, token: secret, elsewhere }) };
}

async function elsewhereOf({ config }: HttpGround, secret: string): Promise<Elsewhere> {
  const address = `${config.issuer}/enrol/${encodeURIComponent(secret)}`;
  return { address, qrCode: await qrCode(address) };
}

export async function finishEnrolment(ground: HttpGround, form: Form, secret: string): Promise<PageAnswer> {
  const invitation = await readInvitation(ground.store, secret);
  if ("refused" in invitation) return expired;
  const attestation = parseAnswer<Attestation>(form.get("attestation"));
  if (!attestation) return await showEnrolment(ground, secret, "No passkey arrived. Nothing was enrolled.");
  const answer = await enrol(ground, {
    approver: invitation.approver,
    invitation: invitation.held,
    ceremony: form.get("ceremony") ?? "",
    attestation,
    name: deviceName(form.get("device")),
  });
  if (!("refused" in answer)) return { go: "/inbox", cookie: sessionCookie(ground, answer) };
  if (answer.refused === "unknown_invitation") return expired;
  return await showEnrolment(
    ground,
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
