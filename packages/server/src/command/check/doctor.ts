import { readFileSync } from "node:fs";
import type { Command } from "../cli/command.ts";
import { withKeyring } from "../cli/deployment.ts";
import { replaceControlChars } from "../cli/table.ts";

const marks = { ok: "ok  ", warn: "warn", fail: "FAIL" } as const;

export const doctorCommand: Command = {
  name: "doctor",
  summary:
    "diagnose a deployment: reachability, clocks, keys, log, files, callbacks, channels; changes nothing",
  options: { json: { type: "boolean", summary: "print JSON lines" } },
  run: (args, { stdout }) =>
    withKeyring(args, async (store, config, keyring) => {
      // Loaded here, because no other command needs them.
      const { createOutbound } = await import("../../outbound/outbound.ts");
      const { runChecks } = await import("./deployment-check.ts");
      const { caFile, ...policy } = config.outbound;
      const ca = caFile === undefined ? undefined : readFileSync(caFile, "utf8");
      const { closeChannels, openChannels } = await import("../../channel/registry.ts");
      const channels = await openChannels(config.channels, {
        issuer: config.issuer,
        now: () => store.now(),
        print: stdout,
      });
      try {
        const results = await runChecks({
          config,
          store,
          keyring,
          outbound: createOutbound({ ...policy, ca }),
          channels,
        });
        for (const result of results) {
          const { state, about, summary, remedy } = result;
          if (args.flag("json")) stdout(JSON.stringify(result));
          else
            stdout(
              `${marks[state]}  ${`${about}:`.padEnd(12)} ${replaceControlChars(summary)}${remedy ? `\n      ${remedy}` : ""}`,
            );
        }
        return results.some(({ state }) => state === "fail") ? 1 : 0;
      } finally {
        await closeChannels(channels);
      }
    }),
};
