/** My devices: what can decide in my name. Adding one needs a fresh passkey, removing leaves at least one. */
import { freshPasskeyMs } from "../../../domain/policy/level.ts";
import { devicesPage } from "../../../page/devices.ts";
import { inviteSelf } from "../../../usecase/people/enrol.ts";
import { removeOwnDevice } from "../../../usecase/people/remove-approver.ts";
import type { HttpDeps } from "../../deps.ts";
import type { Form } from "../../oauth/form.ts";
import type { PageResult } from "../page-result.ts";
import type { Viewer } from "../session.ts";

const problems = {
  last_device: "This is your only device. Add another one first.",
  unknown_device: "That device is not there any more.",
} as const;

export function showDevices(deps: HttpDeps, visitor: Viewer): Promise<PageResult> {
  return list(deps, visitor);
}

async function list({ store }: HttpDeps, visitor: Viewer, problem?: string): Promise<PageResult> {
  const { approver, session, csrf } = visitor;
  const devices = (await store.listDevicesOf(approver.id)).map(({ id, name, createdAt }) => ({
    id,
    name,
    createdAt,
    current: id === session.device,
  }));
  return { page: devicesPage({ approverName: approver.name, devices, csrf, problem }) };
}

/** Leads to an enrolment link of one's own, to be opened on the other device, or on this one. */
export async function addDevice({ store }: HttpDeps, { session }: Viewer): Promise<PageResult> {
  if (store.now() >= session.authenticatedAt + freshPasskeyMs) return { go: "/sign-in?next=/devices" };
  const invitation = await inviteSelf(store, session);
  return { go: "refused" in invitation ? "/sign-in" : `/enrol/${invitation.secret}/elsewhere` };
}

export async function removeOneDevice(
  deps: HttpDeps,
  visitor: Viewer,
  _: Form,
  id: string,
): Promise<PageResult> {
  const answer = await removeOwnDevice(deps.store, visitor.approver, id);
  if (answer === "removed") return id === visitor.session.device ? { go: "/sign-in" } : { go: "/devices" };
  const problem = answer.refused in problems ? problems[answer.refused as keyof typeof problems] : undefined;
  return await list(deps, visitor, problem);
}
