import { inspectText } from "@countersign/protocol";
import { lowerCase } from "../approver/approver.ts";
import type { Config } from "../config/config.ts";
import { addressForm } from "../config/shape.ts";
import { invite } from "../operations/enrol.ts";
import { removeApprover, removeDevice } from "../operations/unenrol.ts";
import type { Command } from "./command.ts";
import { withStore } from "./deployment.ts";
import { OperatorError } from "./operator-error.ts";
import { table } from "./table.ts";

/** Whether any action type's rule could ever choose this person. */
function isNamed({ actions, groups }: Config, email: string): boolean {
  const named = [...actions.values()].flatMap(({ approvers: { people, groups: chosen, owner } }) => [
    ...people,
    ...chosen,
    ...Object.values(owner?.of ?? {}),
  ]);
  const addresses = named.flatMap((name) => (name.includes("@") ? [name] : (groups.get(name) ?? [])));
  return addresses.some((address) => lowerCase(address) === email);
}

/** For a phone's camera, in a terminal's own black and white. */
async function drawn(link: string): Promise<string> {
  const { toString: draw } = (await import("qrcode")).default;
  return await draw(link, { type: "terminal", small: true, errorCorrectionLevel: "L" });
}

export const approverCommands: readonly Command[] = [
  {
    name: "approver invite",
    takes: "<email>",
    says: "make a one-time enrolment link for a person, also for a further or lost device",
    options: {
      name: {
        type: "string",
        value: "NAME",
        says: "how the pages and the log call them (default: the e-mail address)",
      },
      qr: { type: "boolean", says: "the link as a QR code too, also where nobody watches" },
    },
    run: (given, { print, screen }) =>
      withStore(given, async (store, config) => {
        const [email = ""] = given.words;
        if (!addressForm.test(email))
          throw new OperatorError(
            `"${email}" is no e-mail address`,
            "The rules in the configuration name approvers by it.",
          );
        const name = given.one("name") ?? email;
        if (inspectText(name, { maxCodePoints: 80 }) !== undefined)
          throw new OperatorError("that name cannot be shown as it is", "Use up to 80 visible characters.");
        if (!isNamed(config, lowerCase(email)))
          print(`note: no rule in the configuration names ${email}, so nothing will be asked of them`);
        const { secret, approver } = await invite(store, email, name);
        const link = `${config.issuer}/enrol/${secret}`;
        print(`${approver.name} <${approver.email}> enrols a device at (once, within seven days):\n${link}`);
        if (screen || given.flag("qr")) print(await drawn(link));
      }),
  },
  {
    name: "approver list",
    says: "the approvers, and how many devices each has",
    options: { json: { type: "boolean", says: "as JSON lines" } },
    run: (given, { print }) =>
      withStore(given, async (store) => {
        const rows = [];
        for (const { record } of await store.list("approver")) {
          const devices = await store.devicesOf(record.id);
          rows.push({ id: record.id, email: record.email, name: record.name, devices: devices.length });
        }
        print(table(rows, given.flag("json"), "no approvers yet: countersign approver invite"));
      }),
  },
  {
    name: "approver remove",
    takes: "<email>",
    says: "a person leaves: with all devices and sessions; what they decided stays",
    run: (given, { print }) =>
      withStore(given, async (store) => {
        const [email = ""] = given.words;
        if ((await removeApprover(store, lowerCase(email))) !== "removed")
          throw new OperatorError(`there is no approver ${email}`, "countersign approver list shows them.");
        print(`${email} is removed`);
      }),
  },
  {
    name: "device list",
    says: "the devices that can decide, and whose each is",
    options: { json: { type: "boolean", says: "as JSON lines" } },
    run: (given, { print }) =>
      withStore(given, async (store) => {
        const rows = [];
        for (const { record: approver } of await store.list("approver"))
          for (const { id, name, createdAt } of await store.devicesOf(approver.id))
            rows.push({ id, approver: approver.email, name, enrolled: new Date(createdAt).toISOString() });
        print(table(rows, given.flag("json"), "no devices yet: countersign approver invite"));
      }),
  },
  {
    name: "device remove",
    takes: "<id>",
    says: "take a device away, and the sessions on it: a lost phone",
    run: (given, { print }) =>
      withStore(given, async (store) => {
        const [id = ""] = given.words;
        if ((await removeDevice(store, id)) !== "removed")
          throw new OperatorError(`there is no device ${id}`, "countersign device list shows them.");
        print(`the device ${id} is removed`);
      }),
  },
];
