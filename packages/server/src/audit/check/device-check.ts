/** Which passkeys are whose, as the log must tell it; each rule with its own sentence. */
import type { Json } from "@countersign/protocol";
import { quote } from "../problem.ts";
import { type EntryCheck, readDevice } from "./log-state.ts";

function quoteCredential(credential: Json | undefined): string {
  return typeof credential === "string" ? quote(credential) : "without a name";
}

export const deviceChecks = {
  deviceIsComplete: (entry) =>
    entry.event === "device.enrolled" && !readDevice(entry)
      ? "device.enrolled does not say approver, credential, public key, rp_id and origin"
      : undefined,

  enrolledOnce: ({ event, facts }, logState) =>
    event === "device.enrolled" && logState.devices.has(String(facts?.credential))
      ? `the device ${quoteCredential(facts?.credential)} was enrolled already`
      : undefined,

  removedByOwner: ({ event, facts, approver }, logState) => {
    if (event !== "device.removed") return undefined;
    return logState.devices.get(String(facts?.credential))?.approver === approver
      ? undefined
      : `the device ${quoteCredential(facts?.credential)} was removed, and was not this approver's`;
  },
} satisfies { readonly [name: string]: EntryCheck };
