/** Endpoints of the approver's own devices. Adding one needs a fresh passkey assertion; the last one cannot be removed. */
import type { Directory } from "../../../directory/directory.ts";
import { hasFreshPasskey } from "../../../domain/policy/level.ts";
import { renderDevicesPage } from "../../../page/devices.ts";
import type { Store } from "../../../store/store.ts";
import { inviteSelf } from "../../../usecase/people/enrol.ts";
import { removeOwnDevice } from "../../../usecase/people/remove-approver.ts";
import type { FormPageHandler, SessionFormHandler, SessionPageHandler } from "../../route.ts";
import type { PageResult } from "../page-result.ts";
import type { Viewer } from "../session.ts";

export type DeviceDeps = { readonly store: Store; readonly directory: Directory };

export function createDeviceHandlers(deps: DeviceDeps): {
  readonly show: SessionPageHandler;
  readonly add: SessionFormHandler;
  readonly remove: SessionFormHandler;
  readonly showAgain: FormPageHandler;
} {
  return {
    show: (viewer) => showDevices(deps, viewer),
    add: (viewer) => addDevice(deps, viewer),
    remove: (viewer, _, id) => removeDevice(deps, viewer, id),
    showAgain: (viewer, _, __, problem) => showDevices(deps, viewer, problem),
  };
}

const refusalTexts = {
  last_device: "This is your only device. Add another one first.",
  unknown_device: "This device was already removed.",
} as const;

async function showDevices({ store }: DeviceDeps, viewer: Viewer, problem?: string): Promise<PageResult> {
  const { approver, session, csrf } = viewer;
  const devices = (await store.listDevicesOf(approver.id)).map(({ id, name, createdAt }) => ({
    id,
    name,
    createdAt,
    current: id === session.device,
  }));
  const page = renderDevicesPage({ approverName: approver.name, devices, csrf, problem });
  return { page, status: problem === undefined ? 200 : 409 };
}

/** Redirects to a new enrolment link of the approver, for another device or this one. */
async function addDevice(deps: DeviceDeps, { session }: Viewer): Promise<PageResult> {
  if (!hasFreshPasskey(session, deps.store.now())) return { redirect: "/sign-in?next=/devices" };
  const invitation = await inviteSelf(deps, session);
  return { redirect: "refused" in invitation ? "/sign-in" : `/enrol/${invitation.secret}/elsewhere` };
}

async function removeDevice(deps: DeviceDeps, viewer: Viewer, id: string): Promise<PageResult> {
  const result = await removeOwnDevice(deps.store, viewer.approver, id);
  if (result === "removed")
    return id === viewer.session.device ? { redirect: "/sign-in" } : { redirect: "/devices" };
  const problem =
    result.refused in refusalTexts ? refusalTexts[result.refused as keyof typeof refusalTexts] : undefined;
  return await showDevices(deps, viewer, problem);
}
