import { rotateTokenKey } from "../keys/keyring.ts";
import type { Command } from "./command.ts";
import { readOutsideKey, withKeyring, withStore } from "./deployment.ts";
import { table } from "./table.ts";

export const keyCommands: readonly Command[] = [
  {
    name: "keys rotate",
    says: "create a token-signing key; it is published now and signs in eleven minutes",
    run: (given, { print }) =>
      withStore(given, async (store, config) => {
        const kid = await rotateTokenKey(store, readOutsideKey(config));
        print(`key ${kid} is published; it signs in eleven minutes, when clients have had ten to fetch it`);
      }),
  },
  {
    name: "keys list",
    says: "the signing keys, public halves only",
    options: { json: { type: "boolean", says: "as JSON lines" } },
    run: (given, { print }) =>
      withKeyring(given, async (store, _config, keyring) => {
        const rows = (await store.list("key")).map(({ record }) => ({
          kid: record.kid,
          purpose: record.purpose,
          signs_from: new Date(record.activeAt).toISOString(),
        }));
        print(table(rows, given.flag("json"), "no keys yet"));
        if (!given.flag("json")) print(`log key: ${keyring.logKey}`);
      }),
  },
];
