import { readFileSync } from "node:fs";
import type { Command } from "../cli/command.ts";
import { withKeyring } from "../cli/deployment.ts";
import { printable } from "../cli/table.ts";

const marks = { ok: "ok  ", warn: "warn", fail: "FAIL" } as const;

export const doctorCommand: Command = {
  name: "doctor",
  summary:
    "look at what has to work: reachability, clocks, keys, log, file, callbacks, channels; changes nothing",
  options: { json: { type: "boolean", summary: "as JSON lines" } },
  run: (given, { stdout }) =>
    withKeyring(given, async (store, config, keyring) => {
      // Loaded here, because no other command needs them.
      const { createOutbound } = await import("../../outbound/outbound.ts");
      const { runChecks: examine } = await import("./deployment-check.ts");
      const { caFile, ...reach } = config.outbound;
      const ca = caFile === undefined ? undefined : readFileSync(caFile, "utf8");
      const { mail } = config.channels;
      const channel =
        mail &&
        (await import("../../channel/mail/mail.ts")).createMailChannel(mail, config.issuer, () =>
          store.now(),
        );
      try {
        const findings = await examine({
          config,
          store,
          keyring,
          outbound: createOutbound({ ...reach, ca }),
          tryMail: channel?.verifyConnection,
        });
        for (const finding of findings) {
          const { state, about, summary, remedy } = finding;
          if (given.flag("json")) stdout(JSON.stringify(finding));
          else
            stdout(
              `${marks[state]}  ${`${about}:`.padEnd(12)} ${printable(summary)}${remedy ? `\n      ${remedy}` : ""}`,
            );
        }
        return findings.some(({ state }) => state === "fail") ? 1 : 0;
      } finally {
        channel?.close();
      }
    }),
};
