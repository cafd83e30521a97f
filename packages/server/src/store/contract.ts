/**
 * What a store must do, as one suite that every engine passes whole: there are no options and no exceptions. It assumes
 * that several processes share the data, each with a handle of its own, and that only the store's clock counts. It
 * never looks behind the interface; what is particular to an engine is tested beside that engine.
 */
import { describe, test } from "node:test";
import { wholeOrNothing } from "./contract/change.ts";
import { claimed } from "./contract/claim.ts";
import { guardsAndVersions } from "./contract/guard.ts";
import { histories } from "./contract/history.ts";
import { theLog } from "./contract/log.ts";
import { oneWinner } from "./contract/race.ts";
import { readers } from "./contract/reader.ts";
import type { Opened, Rule } from "./contract/rule.ts";
import { watchers } from "./contract/watch.ts";

export type { Opened };

/** Runs the suite against an engine. `open` answers an empty store each time. */
export function storeContract(name: string, open: () => Promise<Opened>): void {
  const rule: Rule = (sentence, check) =>
    test(sentence, async () => {
      const opened = await open();
      try {
        await check(opened);
      } finally {
        await opened.discard();
      }
    });
  describe(`${name}: guards and versions`, () => guardsAndVersions(rule));
  describe(`${name}: a change is whole or nothing`, () => wholeOrNothing(rule));
  describe(`${name}: one winner`, () => oneWinner(rule));
  describe(`${name}: claims`, () => claimed(rule));
  describe(`${name}: the log`, () => theLog(rule));
  describe(`${name}: readers`, () => readers(rule));
  describe(`${name}: watchers`, () => watchers(rule));
  describe(`${name}: histories`, () => histories(rule));
}
