/** Checks of enrolled passkeys. */
import type { Json } from "@countersign/protocol";
import { quote } from "../problem.ts";
import { type EntryCheck, readDevice } from "./log-state.ts";

function quoteCredential(credential: Json | undefined): string {
  return typeof credential === "string" ? quote(credential) : "without an id";
}

export const deviceChecks = {
  deviceIsComplete: (entry) =>
    entry.event === "device.enrolled" && !readDevice(entry)
      ? "device.enrolled lacks approver, credential, public_key, rp_id or origin"
      : undefined,

  enrolledOnce: ({ event, facts }, logState) =>
    event === "device.enrolled" && logState.devices.has(String(facts?.credential))
      ? `the device ${quoteCredential(facts?.credential)} is already enrolled`
      : undefined,

  removedByOwner: ({ event, facts, approver }, logState) => {
    if (event !== "device.removed") return undefined;
    return logState.devices.get(String(facts?.credential))?.approver === approver
      ? undefined
      : `the device ${quoteCredential(facts?.credential)} was removed, but does not belong to this approver`;
  },
} satisfies { readonly [name: string]: EntryCheck };
