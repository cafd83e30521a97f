/** Which passkeys are whose, as the log must tell it; each rule with its own sentence. */
import type { Json } from "@countersign/protocol";
import { type Rule, readDevice } from "./past.ts";
import { quote } from "./problem.ts";

function nameOf(credential: Json | undefined): string {
  return typeof credential === "string" ? quote(credential) : "without a name";
}

export const deviceRules = {
  deviceIsWhole: (entry) =>
    entry.event === "device.enrolled" && !readDevice(entry)
      ? "device.enrolled does not say approver, credential, public key, rp_id and origin"
      : undefined,

  enrolledOnce: ({ event, facts }, past) =>
    event === "device.enrolled" && past.devices.has(String(facts?.credential))
      ? `the device ${nameOf(facts?.credential)} was enrolled already`
      : undefined,

  removedByOwner: ({ event, facts, approver }, past) => {
    if (event !== "device.removed") return undefined;
    return past.devices.get(String(facts?.credential))?.approver === approver
      ? undefined
      : `the device ${nameOf(facts?.credential)} was removed, and was not this approver's`;
  },
} satisfies { readonly [name: string]: Rule };
