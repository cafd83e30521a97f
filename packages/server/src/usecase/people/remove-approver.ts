/**
 * A device, or a person, is taken away. What they decided stays decided and can still be verified; every session that
 * depended on them ends in the same write.
 */

import { operator, toApproverActor } from "../../audit/actor.ts";
import type { ActorOf } from "../../audit/event.ts";
import { newEntry } from "../../audit/new-entry.ts";
import type { Approver } from "../../domain/people/approver.ts";
import type { Outcome, Store, Versioned, Write } from "../../store/store.ts";

export type RemoveRefused = { readonly refused: "unknown_device" | "last_device" | "unknown_approver" };

/** One of the approver's own devices. The last one stays: without it there would be no way back but the operator. */
export async function removeOwnDevice(
  store: Store,
  approver: Approver,
  deviceId: string,
): Promise<"removed" | RemoveRefused> {
  for (;;) {
    const device = await store.read("device", deviceId);
    if (device?.record.approver !== approver.id) return { refused: "unknown_device" };
    const other = (await store.listDevicesOf(approver.id)).find(({ id }) => id !== deviceId);
    const kept = other && (await store.read("device", other.id));
    if (!kept) return { refused: "last_device" };
    // The one that stays is part of the guard: of two removals at once, one finds its other device gone.
    const stays: Write = { check: "device", id: kept.record.id, ifVersion: kept.version };
    if ((await remove(store, device, [stays], toApproverActor(approver.id))) === "committed")
      return "removed";
  }
}

/** Any device, by the operator: a lost phone. */
export async function removeDevice(store: Store, deviceId: string): Promise<"removed" | RemoveRefused> {
  for (;;) {
    const device = await store.read("device", deviceId);
    if (!device) return { refused: "unknown_device" };
    if ((await remove(store, device, [], operator)) === "committed") return "removed";
  }
}

/** A conflict means that the device was used, or signed in or out, at this very moment: it is still to be removed. */
async function remove(
  store: Store,
  { record: { id, approver } }: Versioned<"device">,
  guards: readonly Write[],
  actor: ActorOf<"device.removed">,
): Promise<Outcome> {
  const entry = newEntry("device.removed", store.now(), { actor, approver, facts: { credential: id } });
  return await store.commit({ writes: [...(await dropsOf(store, id)), ...guards], entries: [entry] });
}

/** A person leaves: they are asked nothing any more, and can decide nothing. */
export async function removeApprover(store: Store, email: string): Promise<"removed" | RemoveRefused> {
  for (;;) {
    const approver = await store.findApproverByEmail(email);
    const found = approver && (await store.read("approver", approver.id));
    if (!found) return { refused: "unknown_approver" };
    const { id } = found.record;
    const devices = await store.listDevicesOf(id);
    const writes: Write[] = [{ delete: "approver", id, ifVersion: found.version }];
    for (const device of devices) writes.push(...(await dropsOf(store, device.id)));
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
      ],
    });
    if (outcome === "committed") return "removed";
  }
}

async function dropsOf(store: Store, deviceId: string): Promise<Write[]> {
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
