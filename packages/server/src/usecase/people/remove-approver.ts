/**
 * Removes devices and approvers. The same write ends their sessions. Past decisions are kept and remain verifiable.
 */
import { operator, toApproverActor } from "../../audit/actor.ts";
import type { ActorOf } from "../../audit/event.ts";
import { newEntry } from "../../audit/new-entry.ts";
import type { Approver } from "../../domain/people/approver.ts";
import type { Outcome, Store, Versioned, Write } from "../../store/store.ts";
import type { PeopleDeps } from "./enrol.ts";

export type RemoveRefused = { readonly refused: "unknown_device" | "last_device" | "unknown_approver" };

/** Removes one of the approver's own devices. Refuses to remove the last one: only the operator could enrol another. */
export async function removeOwnDevice(
  store: Store,
  approver: Approver,
  deviceId: string,
): Promise<"removed" | RemoveRefused> {
  for (;;) {
    const device = await store.read("device", deviceId);
    if (device?.record.approver !== approver.id) return { refused: "unknown_device" };
    const other = (await store.listDevicesOf(approver.id)).find(({ id }) => id !== deviceId);
    const remaining = other && (await store.read("device", other.id));
    if (!remaining) return { refused: "last_device" };
    // Guard the remaining device: of two concurrent removals, one conflicts.
    const guard: Write = { check: "device", id: remaining.record.id, ifVersion: remaining.version };
    if ((await commitRemoval(store, device, [guard], toApproverActor(approver.id))) === "committed")
      return "removed";
  }
}

/** Removes any device, such as a lost phone. For the operator. */
export async function removeDevice(store: Store, deviceId: string): Promise<"removed" | RemoveRefused> {
  for (;;) {
    const device = await store.read("device", deviceId);
    if (!device) return { refused: "unknown_device" };
    if ((await commitRemoval(store, device, [], operator)) === "committed") return "removed";
  }
}

/** Returns `conflict` if the device was used, or one of its sessions began or ended, at the same time: try again. */
async function commitRemoval(
  store: Store,
  { record: { id, approver } }: Versioned<"device">,
  guards: readonly Write[],
  actor: ActorOf<"device.removed">,
): Promise<Outcome> {
  const entry = newEntry("device.removed", store.now(), { actor, approver, facts: { credential: id } });
  return await store.commit({ writes: [...(await deleteDevice(store, id)), ...guards], entries: [entry] });
}

/** Removes an approver with all devices and sessions. They are no longer notified and can no longer decide. */
export async function removeApprover(
  { store, directory }: PeopleDeps,
  email: string,
): Promise<"removed" | RemoveRefused> {
  for (;;) {
    const found = await directory.findByEmail(email);
    if (!found) return { refused: "unknown_approver" };
    const { id } = found.record;
    const devices = await store.listDevicesOf(id);
    const writes: Write[] = [{ delete: "approver", id, ifVersion: found.version }];
    for (const device of devices) writes.push(...(await deleteDevice(store, device.id)));
    const contacts = await store.listContactsOf(id);
    for (const { record, version } of contacts)
      writes.push({ delete: "contact", id: record.id, ifVersion: version });
    const now = store.now();
    const outcome = await store.commit({
      writes,
      entries: [
        newEntry("approver.removed", now, { actor: operator, approver: id }),
        ...devices.map((device) =>
          newEntry("device.removed", now, {
            actor: operator,
            approver: id,
            facts: { credential: device.id },
          }),
        ),
        ...contacts.map(({ record }) =>
          newEntry("contact.removed", now, {
            actor: operator,
            approver: id,
            facts: { contact: record.id, channel: record.channel },
          }),
        ),
      ],
    });
    if (outcome === "committed") return "removed";
  }
}

/** Returns the writes that delete a device and its sessions. */
async function deleteDevice(store: Store, deviceId: string): Promise<Write[]> {
  const device = await store.read("device", deviceId);
  const sessions = await store.listSessionsOn(deviceId);
  return [
    { delete: "device", id: deviceId, ifVersion: device?.version ?? 0 },
    ...sessions.map(({ record, version }) => ({
      delete: "session" as const,
      id: record.id,
      ifVersion: version,
    })),
  ];
}
