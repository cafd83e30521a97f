/** My devices: what can decide in my name. Adding one needs a fresh passkey, removing leaves at least one. */
import { freshPasskeyMs } from "../../approver/level.ts";
import { inviteMyself } from "../../operations/enrol.ts";
import { removeOwnDevice } from "../../operations/unenrol.ts";
import { devicesPage } from "../../pages/devices.ts";
import type { Form } from "../form.ts";
import type { HttpGround } from "../ground.ts";
import type { PageAnswer } from "../page-answer.ts";
import type { Visitor } from "../session.ts";

const problems = {
  last_device: "This is your only device. Add another one first.",
  unknown_device: "That device is not there any more.",
} as const;

export function showDevices(ground: HttpGround, visitor: Visitor): Promise<PageAnswer> {
  return list(ground, visitor);
}

async function list({ store }: HttpGround, visitor: Visitor, problem?: string): Promise<PageAnswer> {
  const { approver, session, csrf } = visitor;
  const devices = (await store.devicesOf(approver.id)).map(({ id, name, createdAt }) => ({
    id,
    name,
    createdAt,
    current: id === session.device,
  }));
  return { page: devicesPage({ approverName: approver.name, devices, csrf, problem }) };
}

/** Leads to an enrolment link of one's own, to be opened on the other device, or on this one. */
export async function addDevice({ store }: HttpGround, { session }: Visitor): Promise<PageAnswer> {
  if (store.now() >= session.authenticatedAt + freshPasskeyMs) return { go: "/sign-in?next=/devices" };
  const invitation = await inviteMyself(store, session);
  return { go: "refused" in invitation ? "/sign-in" : `/enrol/${invitation.secret}/elsewhere` };
}

export async function removeOneDevice(
  ground: HttpGround,
  visitor: Visitor,
  _: Form,
  id: string,
): Promise<PageAnswer> {
  const answer = await removeOwnDevice(ground.store, visitor.approver, id);
  if (answer === "removed") return id === visitor.session.device ? { go: "/sign-in" } : { go: "/devices" };
  const problem = answer.refused in problems ? problems[answer.refused as keyof typeof problems] : undefined;
  return await list(ground, visitor, problem);
}
