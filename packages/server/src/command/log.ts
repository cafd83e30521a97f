import { once } from "node:events";
import { createReadStream, createWriteStream, readFileSync } from "node:fs";
import { finished } from "node:stream/promises";
import type { Entry } from "@countersign/protocol";
import {
  type AuditProblems,
  exportLog,
  type Line,
  splitLines,
  type VerifyReport,
  verifyLog,
} from "../audit/audit.ts";
import type { LoggedEntry } from "../store/store.ts";
import { eraseTexts } from "../usecase/audit/erase.ts";
import type { Command, Terminal } from "./cli/command.ts";
import { settleLog, withKeyring, withStore } from "./cli/deployment.ts";
import { OperatorError } from "./cli/operator-error.ts";
import { printable } from "./cli/table.ts";

const trust = {
  key: {
    type: "string",
    value: "KEY",
    summary: "the log's public key, from somewhere you trust (countersign log key)",
  },
} as const;

const verify: Command = {
  name: "log verify",
  args: "[file]",
  summary:
    "check an exported log, or this deployment's own: order, proofs, signatures, and what the entries say",
  options: {
    ...trust,
    checkpoint: {
      type: "string",
      multiple: true,
      value: "FILE",
      summary: "checkpoints that were kept elsewhere; tampering is excluded up to the newest",
    },
  },
  run: async (given, terminal) => {
    const [file] = given.words;
    const checkpoints = given.many("checkpoint").flatMap(readNotes);
    const key = given.one("key");
    const options = { checkpoints, ...(key !== undefined && { key }) };
    if (file !== undefined) return report(await verifyLines(splitLines(openFile(file)), options), terminal);
    return await withKeyring(given, async (store, config, keyring) => {
      await settleLog(store, config, keyring);
      const own = { key: keyring.logKey, ...options };
      return report(await verifyLines(exportLog(store.log, keyring.logKey), own), terminal);
    });
  },
};

async function verifyLines(
  lines: AsyncIterable<Line>,
  options: { readonly key?: string; readonly checkpoints: readonly string[] },
): Promise<VerifyReport | AuditProblems> {
  try {
    return await verifyLog(lines, options);
  } catch (error) {
    if (error instanceof TypeError) throw new OperatorError(error.message, "countersign log key prints one.");
    throw error;
  }
}

function report(result: VerifyReport | AuditProblems, { stdout, stderr }: Terminal): number {
  if ("problems" in result) {
    for (const { index, message: what } of result.problems)
      stderr(index === undefined ? what : `entry ${index}: ${what}`);
    stderr(
      `the log does NOT verify: ${result.problems.length} problem${result.problems.length === 1 ? "" : "s"}`,
    );
    return 1;
  }
  const { entries, upTo, key, origin, checked } = result;
  stdout(`the log of ${origin} verifies: ${entries} entries`);
  for (const [what, count] of Object.entries(checked)) stdout(`  ${what.padEnd(12)} ${count}`);
  if (key === "own")
    stdout("The key is the log's own word for itself: give --key, from somewhere you trust.");
  if (upTo === 0)
    stdout(
      "No checkpoint kept elsewhere was given: whoever holds the signing key could have written all of this anew.",
    );
  else stdout(`Tampering is excluded up to entry ${upTo - 1}, by the newest checkpoint kept elsewhere.`);
  return 0;
}

const exporting: Command = {
  name: "log export",
  args: "[file]",
  summary: "write the log as text that a stranger can verify (default: to standard output)",
  run: (given, terminal) =>
    withKeyring(given, async (store, config, keyring) => {
      await settleLog(store, config, keyring);
      const [file] = given.words;
      if (file === undefined) {
        for await (const line of exportLog(store.log, keyring.logKey)) terminal.stdout(line);
        return;
      }
      const out = createWriteStream(file, { flags: "wx", mode: 0o600 });
      try {
        let lines = 0;
        for await (const line of exportLog(store.log, keyring.logKey)) {
          if (!out.write(`${line}\n`)) await once(out, "drain");
          lines += 1;
        }
        await finished(out.end());
        terminal.stdout(`${file}: ${lines} lines`);
      } catch (error) {
        throw fileProblem(file, error);
      }
    }),
};

const show: Command = {
  name: "log show",
  summary: "the newest entries, oldest first",
  options: {
    request: { type: "string", value: "ID", summary: "only those about this request" },
    limit: { type: "string", value: "N", summary: "how many (default: 50)" },
    json: { type: "boolean", summary: "the exact entries, one a line" },
  },
  run: (given, { stdout }) =>
    withStore(given, async (store) => {
      const limit = Number(given.one("limit") ?? "50");
      if (!Number.isSafeInteger(limit) || limit < 1)
        throw new OperatorError("--limit takes a whole number from 1");
      const entries = [...(await store.log.newest(limit, given.one("request")))].reverse();
      if (entries.length === 0) stdout("no entries");
      for (const entry of entries) stdout(given.flag("json") ? entry.line : describe(entry));
    }),
};

function describe({ index, line, texts }: LoggedEntry): string {
  const { at, event, request, agent, approver, token, api, facts }: Entry = JSON.parse(line);
  const error = typeof facts?.error === "string" ? facts.error : undefined;
  const about = { error, agent, approver, api, request, token };
  const named = Object.entries(about).flatMap(([name, id]) => (id === undefined ? [] : [`${name}=${id}`]));
  const said = Object.entries(texts).flatMap(([name, { text }]) =>
    name === "card" ? [] : [`${name}: ${printable(text)}`],
  );
  const place = index < 0 ? "     -" : String(index).padStart(6);
  return [
    `${place}  ${new Date(at).toISOString()}  ${event.padEnd(18)} ${named.join(" ")}`,
    ...said.map((text) => `        ${text}`),
  ].join("\n");
}

const key: Command = {
  name: "log key",
  summary: "the log's public key: hand it to those who will verify",
  run: (given, { stdout }) => withKeyring(given, async (_store, _config, keyring) => stdout(keyring.logKey)),
};

const newestCheckpoint: Command = {
  name: "log checkpoint",
  summary: "the newest signed checkpoint: keep a copy where nobody here can change it",
  run: (given, { stdout }) =>
    withKeyring(given, async (store, config, keyring) => {
      await settleLog(store, config, keyring);
      stdout(((await store.log.newestCheckpoint())?.note ?? "").trimEnd());
    }),
};

const erase: Command = {
  name: "log erase",
  args: "<request>",
  summary: "erase the personal text of a request's entries for good; the log still verifies",
  run: (given, { stdout }) =>
    withStore(given, async (store) => {
      const [request = ""] = given.words;
      const erased = await eraseTexts(store, request);
      if (erased === 0) throw new OperatorError(`the log holds no text about ${request}`);
      stdout(
        `erased the texts of ${erased === 1 ? "one entry" : `${erased} entries`}; what they were can no longer be shown or proved`,
      );
    }),
};

export const logCommands: readonly Command[] = [verify, exporting, show, key, newestCheckpoint, erase];

const note = /[^\n]+\n[^\n]+\n[^\n]+\n(?:[^\n]+\n)*\n(?:\u2014 [^\n]+\n)+/g;

/**
 * A file of checkpoints holds notes one after another: a body, an empty line, and lines that begin with a dash. Whatever
 * else stands in it may be what is left of a damaged one, and is refused rather than passed over.
 */
function readNotes(file: string): string[] {
  const text = readText(file).replaceAll("\r\n", "\n");
  const notes = text.match(note) ?? [];
  if (notes.length === 0 || text.replaceAll(note, "").trim() !== "")
    throw new OperatorError(
      `${file} is no file of signed checkpoints, or a part of it is damaged`,
      "countersign log checkpoint prints one as it should be.",
    );
  return notes;
}

export function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw fileProblem(file, error);
  }
}

async function* openFile(file: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(file);
  } catch (error) {
    throw fileProblem(file, error);
  }
}

export function fileProblem(file: string, error: unknown): OperatorError {
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
  const words: Record<string, string> = {
    ENOENT: "is not there",
    EEXIST: "is there already",
    EACCES: "is not yours to use",
  };
  return new OperatorError(`${file} ${words[code] ?? `cannot be used (${code})`}`);
}
