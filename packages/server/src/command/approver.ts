import { readFileSync } from "node:fs";
import { inspectText } from "@countersign/protocol";
import { lowerCase } from "../approver/approver.ts";
import type { Config } from "../config/config.ts";
import { addressForm } from "../config/shape.ts";
import { invite } from "../operations/enrol.ts";
import { removeApprover, removeDevice } from "../operations/unenrol.ts";
import { newUserCode, setUserCode } from "../operations/user-code.ts";
import type { Command } from "./command.ts";
import { messageOf, withStore } from "./deployment.ts";
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

function readUserCode(file: string): string {
  let code: string;
  try {
    code = readFileSync(file, "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    throw new OperatorError(`${file} cannot be read: ${messageOf(error)}`);
  }
  if (code.length < 6 || inspectText(code, { maxCodePoints: 64 }) !== undefined)
    throw new OperatorError(
      "that is no user code",
      "Use 6 to 64 visible characters; five wrong ones are heard in a quarter of an hour.",
    );
  return code;
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
    name: "approver code",
    takes: "<email>",
    says: "give a person a user code, which agents registered for it must send; prints it once",
    options: {
      file: { type: "string", value: "FILE", says: "the code that they chose (default: one is made up)" },
      remove: { type: "boolean", says: "take it away" },
    },
    run: (given, { print }) =>
      withStore(given, async (store, config) => {
        const [email = ""] = given.words;
        const file = given.one("file");
        const chosen = file === undefined ? newUserCode() : readUserCode(file);
        const code = given.flag("remove") ? undefined : chosen;
        if ((await setUserCode(store, lowerCase(email), code)) !== "done")
          throw new OperatorError(`there is no approver ${email}`, "countersign approver list shows them.");
        if (code === undefined) return print(`${email} has no user code any more`);
        print(
          file === undefined
            ? `user_code=${code}\nIt is shown this once.`
            : `${email} has that user code now`,
        );
        if (!config.userCodes)
          print("note: user_codes is off in the configuration, so nobody is asked for it");
      }),
  },
  {
    name: "approver list",
    says: "the approvers, how many devices each has, and whether a user code",
    options: { json: { type: "boolean", says: "as JSON lines" } },
    run: (given, { print }) =>
      withStore(given, async (store) => {
        const rows = [];
        for (const { record } of await store.list("approver")) {
          const devices = await store.devicesOf(record.id);
          const { id, email, name, userCode } = record;
          rows.push({ id, email, name, devices: devices.length, user_code: userCode ? "set" : "none" });
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
];

export const deviceCommands: readonly Command[] = [
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
