import { readFileSync } from "node:fs";
import { getErrorMessage, inspectText } from "@countersign/protocol";
import type { Config } from "../config/config.ts";
import { emailPattern } from "../config/field.ts";
import type { Directory } from "../directory/directory.ts";
import { openDirectory } from "../directory/open-directory.ts";
import { normalizeEmail } from "../domain/people/approver.ts";
import { invite } from "../usecase/people/enrol.ts";
import { removeApprover, removeDevice } from "../usecase/people/remove-approver.ts";
import { generateUserCode, setUserCode } from "../usecase/request/user-code.ts";
import type { Command } from "./cli/command.ts";
import { withStore } from "./cli/deployment.ts";
import { OperatorError } from "./cli/operator-error.ts";
import { formatTable } from "./cli/table.ts";

/** Returns true if the approver policy of an action type names this address or a group that it is a member of. */
async function isNamed(
  { actions }: Config,
  directory: Directory,
  email: string,
  now: number,
): Promise<boolean> {
  const names = [...actions.values()].flatMap(({ approvers: { people, groups: chosen, owner } }) => [
    ...people,
    ...chosen,
    ...Object.values(owner?.of ?? {}),
  ]);
  for (const name of new Set(names)) {
    const emails = name.includes("@") ? [normalizeEmail(name)] : await directory.listMembers(name, now);
    if (emails.includes(email)) return true;
  }
  return false;
}

/** For a phone's camera, in a terminal's own black and white. */
async function renderQrCode(link: string): Promise<string> {
  const { toString: draw } = (await import("qrcode")).default;
  return await draw(link, { type: "terminal", small: true, errorCorrectionLevel: "L" });
}

function readUserCodeFile(file: string): string {
  let code: string;
  try {
    code = readFileSync(file, "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    throw new OperatorError(`${file} cannot be read: ${getErrorMessage(error)}`);
  }
  if (code.length < 6 || inspectText(code, { maxCodePoints: 64 }) !== undefined)
    throw new OperatorError(
      "invalid user code",
      "Use 6 to 64 visible characters. Five wrong attempts are accepted in 15 minutes.",
    );
  return code;
}

export const approverCommands: readonly Command[] = [
  {
    name: "approver invite",
    args: "<email>",
    summary: "create a one-time enrolment link for an approver: first, additional or replacement device",
    options: {
      name: {
        type: "string",
        value: "NAME",
        summary: "display name in pages and in the log (default: the e-mail address)",
      },
      qr: { type: "boolean", summary: "the link as a QR code too, also where nobody watches" },
    },
    run: (args, { stdout, isTTY }) =>
      withStore(args, async (store, config) => {
        const [email = ""] = args.positionals;
        if (!emailPattern.test(email))
          throw new OperatorError(
            `"${email}" is not an e-mail address`,
            "The configuration identifies approvers by e-mail address.",
          );
        const name = args.option("name") ?? email;
        if (inspectText(name, { maxCodePoints: 80 }) !== undefined)
          throw new OperatorError("invalid name", "Use up to 80 visible characters.");
        const directory = openDirectory({ current: () => config }, store);
        if (!(await isNamed(config, directory, normalizeEmail(email), store.now())))
          stdout(`note: no rule in the configuration names ${email}, so nothing will be asked of them`);
        const { secret, approver } = await invite({ store, directory }, email, name);
        const link = `${config.issuer}/enrol/${secret}`;
        stdout(`${approver.name} <${approver.email}> enrols a device at (once, within seven days):\n${link}`);
        if (isTTY || args.flag("qr")) stdout(await renderQrCode(link));
      }),
  },
  {
    name: "approver code",
    args: "<email>",
    summary: "set an approver's user code (printed once), which agents registered for user codes must send",
    options: {
      file: { type: "string", value: "FILE", summary: "the code that they chose (default: one is made up)" },
      remove: { type: "boolean", summary: "take it away" },
    },
    run: (args, { stdout }) =>
      withStore(args, async (store, config) => {
        const [email = ""] = args.positionals;
        const file = args.option("file");
        const chosen = file === undefined ? generateUserCode() : readUserCodeFile(file);
        const code = args.flag("remove") ? undefined : chosen;
        if (
          (await setUserCode(
            { store, directory: openDirectory({ current: () => config }, store) },
            normalizeEmail(email),
            code,
          )) !== "done"
        )
          throw new OperatorError(`there is no approver ${email}`, "countersign approver list shows them.");
        if (code === undefined) return stdout(`${email} has no user code any more`);
        stdout(
          file === undefined
            ? `user_code=${code}\nIt is shown this once.`
            : `${email} has that user code now`,
        );
        if (!config.userCodes)
          stdout("note: user_codes is off in the configuration, so nobody is asked for it");
      }),
  },
  {
    name: "approver list",
    summary: "list the approvers, their number of devices, and whether they have a user code",
    options: { json: { type: "boolean", summary: "print JSON lines" } },
    run: (args, { stdout }) =>
      withStore(args, async (store) => {
        const rows = [];
        for (const { record } of await store.list("approver")) {
          const devices = await store.listDevicesOf(record.id);
          const { id, email, name, userCode } = record;
          rows.push({ id, email, name, devices: devices.length, user_code: userCode ? "set" : "none" });
        }
        stdout(formatTable(rows, args.flag("json"), "no approvers yet: countersign approver invite"));
      }),
  },
  {
    name: "approver remove",
    args: "<email>",
    summary: "remove an approver with all devices and sessions; past decisions are kept",
    run: (args, { stdout }) =>
      withStore(args, async (store, config) => {
        const [email = ""] = args.positionals;
        if (
          (await removeApprover(
            { store, directory: openDirectory({ current: () => config }, store) },
            normalizeEmail(email),
          )) !== "removed"
        )
          throw new OperatorError(`there is no approver ${email}`, "countersign approver list shows them.");
        stdout(`${email} is removed`);
      }),
  },
];

export const deviceCommands: readonly Command[] = [
  {
    name: "device list",
    summary: "list the enrolled devices and their owners",
    options: { json: { type: "boolean", summary: "print JSON lines" } },
    run: (args, { stdout }) =>
      withStore(args, async (store) => {
        const rows = [];
        for (const { record: approver } of await store.list("approver"))
          for (const { id, name, createdAt } of await store.listDevicesOf(approver.id))
            rows.push({ id, approver: approver.email, name, enrolled: new Date(createdAt).toISOString() });
        stdout(formatTable(rows, args.flag("json"), "no devices yet: countersign approver invite"));
      }),
  },
  {
    name: "device remove",
    args: "<id>",
    summary: "remove a device and its sessions, such as a lost phone",
    run: (args, { stdout }) =>
      withStore(args, async (store) => {
        const [id = ""] = args.positionals;
        if ((await removeDevice(store, id)) !== "removed")
          throw new OperatorError(`there is no device ${id}`, "countersign device list shows them.");
        stdout(`the device ${id} is removed`);
      }),
  },
];
