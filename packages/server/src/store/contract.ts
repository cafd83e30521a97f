/**
 * What a store must do, as one suite that every engine passes whole: there are no options and no exceptions. It assumes
 * that several processes share the data, each with a handle of its own, and that only the store's clock counts. It
 * never looks behind the interface; what is particular to an engine is tested beside that engine.
 */
import { describe, test } from "node:test";
import { atomicityContract } from "./contract/atomicity.ts";
import { claimContract } from "./contract/claim.ts";
import { concurrencyContract } from "./contract/concurrency.ts";
import type { ContractCase, OpenedStore } from "./contract/contract-case.ts";
import { guardContract } from "./contract/guard.ts";
import { historyContract } from "./contract/history.ts";
import { logContract } from "./contract/log.ts";
import { readerContract } from "./contract/reader.ts";
import { watcherContract } from "./contract/watch.ts";

export type { OpenedStore };

/** Runs the suite against an engine. `open` answers an empty store each time. */
export function storeContract(name: string, open: () => Promise<OpenedStore>): void {
  const contractCase: ContractCase = (title, check) =>
    test(title, async () => {
      const opened = await open();
      try {
        await check(opened);
      } finally {
        await opened.discard();
      }
    });
  describe(`${name}: guards and versions`, () => guardContract(contractCase));
  describe(`${name}: a change is whole or nothing`, () => atomicityContract(contractCase));
  describe(`${name}: one winner`, () => concurrencyContract(contractCase));
  describe(`${name}: claims`, () => claimContract(contractCase));
  describe(`${name}: the log`, () => logContract(contractCase));
  describe(`${name}: readers`, () => readerContract(contractCase));
  describe(`${name}: watchers`, () => watcherContract(contractCase));
  describe(`${name}: histories`, () => historyContract(contractCase));
}
