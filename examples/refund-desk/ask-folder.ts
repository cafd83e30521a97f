import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Ask, AskStore } from "@countersign/agent";

/** Keeps asks in a folder, a file for each, so that they outlive the process that asked. */
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
      // Whole or not at all: a process that dies in between leaves no half of a file behind.
      const draft = `${fileOf(key)}.${process.pid}`;
      writeFileSync(draft, JSON.stringify(ask), { mode: 0o600 });
      renameSync(draft, fileOf(key));
    },
    delete(key) {
      rmSync(fileOf(key), { force: true });
    },
  };
}
