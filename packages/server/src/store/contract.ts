/**
 * The contract of a store: one suite that every engine passes in full, without options or exceptions. It assumes that
 * several processes share the data, each through its own handle, and that only the store's clock counts. It tests the
 * interface only; engine-specific behaviour is tested beside the engine.
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

/** Registers the suite for an engine. `open` returns an empty store on each call. */
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
  describe(`${name}: atomicity`, () => atomicityContract(contractCase));
  describe(`${name}: concurrency`, () => concurrencyContract(contractCase));
  describe(`${name}: claims`, () => claimContract(contractCase));
  describe(`${name}: log`, () => logContract(contractCase));
  describe(`${name}: readers`, () => readerContract(contractCase));
  describe(`${name}: watchers`, () => watcherContract(contractCase));
  describe(`${name}: histories`, () => historyContract(contractCase));
}
