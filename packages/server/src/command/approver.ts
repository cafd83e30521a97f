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

/** Renders a QR code with the characters and colours of a terminal. */
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
      qr: {
        type: "boolean",
        summary: "print a QR code of the link, even if standard output is not a terminal",
      },
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
        const directory = openDirectory({ settings: config, policy: { current: () => config }, store });
        if (!(await isNamed(config, directory, normalizeEmail(email), store.now())))
          stdout(`note: no action type names ${email} as an approver, so they will not receive requests`);
        const { secret, approver } = await invite({ store, directory }, email, name);
        const link = `${config.issuer}/enrol/${secret}`;
        stdout(
          `${approver.name} <${approver.email}> can enrol one device with this link within seven days:\n${link}`,
        );
        if (isTTY || args.flag("qr")) stdout(await renderQrCode(link));
      }),
  },
  {
    name: "approver code",
    args: "<email>",
    summary: "set an approver's user code (printed once), which agents registered for user codes must send",
    options: {
      file: { type: "string", value: "FILE", summary: "a file with the code (default: generate one)" },
      remove: { type: "boolean", summary: "remove the code" },
    },
    run: (args, { stdout }) =>
      withStore(args, async (store, config) => {
        const [email = ""] = args.positionals;
        const file = args.option("file");
        const chosen = file === undefined ? generateUserCode() : readUserCodeFile(file);
        const code = args.flag("remove") ? undefined : chosen;
        if (
          (await setUserCode(
            {
              store,
              directory: openDirectory({ settings: config, policy: { current: () => config }, store }),
            },
            normalizeEmail(email),
            code,
          )) !== "done"
        )
          throw new OperatorError(`there is no approver ${email}`, "countersign approver list shows them.");
        if (code === undefined) return stdout(`removed the user code of ${email}`);
        stdout(
          file === undefined
            ? `user_code=${code}\nThe code is printed only once.`
            : `set the user code of ${email}`,
        );
        if (!config.userCodes)
          stdout("note: user_codes is false in the configuration, so agents need not send it");
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
        stdout(
          formatTable(rows, args.flag("json"), "no approvers; invite one with countersign approver invite"),
        );
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
            {
              store,
              directory: openDirectory({ settings: config, policy: { current: () => config }, store }),
            },
            normalizeEmail(email),
          )) !== "removed"
        )
          throw new OperatorError(`there is no approver ${email}`, "countersign approver list shows them.");
        stdout(`removed ${email}`);
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
        stdout(
          formatTable(
            rows,
            args.flag("json"),
            "no devices; countersign approver invite creates an enrolment link",
          ),
        );
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
        stdout(`removed the device ${id}`);
      }),
  },
];
