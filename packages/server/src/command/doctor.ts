import { readFileSync } from "node:fs";
import type { Command } from "./command.ts";
import { withKeyring } from "./deployment.ts";
import { printable } from "./table.ts";

const marks = { well: "ok  ", odd: "note", ill: "FAIL" } as const;

export const doctorCommand: Command = {
  name: "doctor",
  says: "look at what has to work: reachability, clocks, keys, log, file, callbacks, channels; changes nothing",
  options: { json: { type: "boolean", says: "as JSON lines" } },
  run: (given, { print }) =>
    withKeyring(given, async (store, config, keyring) => {
      // Loaded here, because no other command needs them.
      const { createOutbound } = await import("../outbound/outbound.ts");
      const { examine } = await import("./examination.ts");
      const { caFile, ...reach } = config.outbound;
      const ca = caFile === undefined ? undefined : readFileSync(caFile, "utf8");
      const { mail } = config.channels;
      const channel =
        mail && (await import("../channels/mail.ts")).mailChannel(mail, config.issuer, () => store.now());
      try {
        const findings = await examine({
          config,
          store,
          keyring,
          outbound: createOutbound({ ...reach, ca }),
          tryMail: channel?.attempt,
        });
        for (const finding of findings) {
          const { state, about, says, remedy } = finding;
          if (given.flag("json")) print(JSON.stringify(finding));
          else
            print(
              `${marks[state]}  ${`${about}:`.padEnd(12)} ${printable(says)}${remedy ? `\n      ${remedy}` : ""}`,
            );
        }
        return findings.some(({ state }) => state === "ill") ? 1 : 0;
      } finally {
        channel?.close();
      }
    }),
};
