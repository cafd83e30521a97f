import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Ask, AskStore } from "@countersign/agent";

/** Stores asks in a directory, one file each, so that they survive a restart. */
export function askFolder(folder: string): AskStore {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const fileOf = (key: string) => join(folder, `${encodeURIComponent(key)}.json`);
  return {
    get(key) {
      try {
        return JSON.parse(readFileSync(fileOf(key), "utf8")) as Ask;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
        throw error;
      }
    },
    set(key, ask) {
      // Write atomically: a crash leaves no partial file.
      const draft = `${fileOf(key)}.${process.pid}`;
      writeFileSync(draft, JSON.stringify(ask), { mode: 0o600 });
      renameSync(draft, fileOf(key));
    },
    delete(key) {
      rmSync(fileOf(key), { force: true });
    },
  };
}
