import { rotateTokenKey } from "../usecase/key/keyring.ts";
import type { Command } from "./cli/command.ts";
import { readRootKey, withKeyring, withStore } from "./cli/deployment.ts";
import { formatTable } from "./cli/table.ts";

export const keyCommands: readonly Command[] = [
  {
    name: "keys rotate",
    summary: "create a token-signing key; it is published now and used in eleven minutes",
    run: (args, { stdout }) =>
      withStore(args, async (store, config) => {
        const kid = await rotateTokenKey(store, readRootKey(config));
        stdout(
          `published key ${kid}; it signs from eleven minutes from now, so that clients have ten minutes to fetch it`,
        );
      }),
  },
  {
    name: "keys list",
    summary: "list the signing keys (public keys only)",
    options: { json: { type: "boolean", summary: "print JSON lines" } },
    run: (args, { stdout }) =>
      withKeyring(args, async (store, _config, keyring) => {
        const rows = (await store.list("key")).map(({ record }) => ({
          kid: record.kid,
          purpose: record.purpose,
          signs_from: new Date(record.activeAt).toISOString(),
        }));
        stdout(formatTable(rows, args.flag("json"), "no keys"));
        if (!args.flag("json")) stdout(`log key: ${keyring.logKey}`);
      }),
  },
];
