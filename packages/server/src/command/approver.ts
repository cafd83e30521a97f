import { invite } from "../operations/enrol.ts";
import type { Command } from "./command.ts";
import { withStore } from "./deployment.ts";
import { OperatorError } from "./operator-error.ts";
import { table } from "./table.ts";

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
    },
    run: (given, { print }) =>
      withStore(given, async (store, config) => {
        const [email = ""] = given.words;
        if (!/^[^\s@]+@[^\s@]+$/.test(email))
          throw new OperatorError(
            `"${email}" is no e-mail address`,
            "The rules in the configuration name approvers by it.",
          );
        const { secret, approver } = await invite(store, email, given.one("name") ?? email);
        print(
          `${approver.name} <${approver.email}> enrols a device at (once, within seven days):\n${config.issuer.replace(/\/$/, "")}/enrol/${secret}`,
        );
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
];
