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
import { withKeyring, withStore, writeCheckpointNow } from "./cli/deployment.ts";
import { OperatorError } from "./cli/operator-error.ts";
import { replaceControlChars } from "./cli/table.ts";

const keyOption = {
  key: {
    type: "string",
    value: "KEY",
    summary: "the log's public key, from a trusted source (countersign log key prints it)",
  },
} as const;

const verifyCommand: Command = {
  name: "log verify",
  args: "[file]",
  summary:
    "verify an exported log, or that of this deployment: order, proofs, signatures, and the history of each request",
  options: {
    ...keyOption,
    checkpoint: {
      type: "string",
      multiple: true,
      value: "FILE",
      summary: "checkpoints that were copied elsewhere; proves that entries up to the newest are unchanged",
    },
  },
  run: async (args, terminal) => {
    const [file] = args.positionals;
    const checkpoints = args.optionList("checkpoint").flatMap(readNotes);
    const key = args.option("key");
    const options = { checkpoints, ...(key !== undefined && { key }) };
    if (file !== undefined)
      return printReport(await verifyLines(splitLines(readChunks(file)), options), terminal);
    return await withKeyring(args, async (store, config, keyring) => {
      await writeCheckpointNow(store, config, keyring);
      const ownOptions = { key: keyring.logKey, ...options };
      return printReport(await verifyLines(exportLog(store.log, keyring.logKey), ownOptions), terminal);
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

function printReport(result: VerifyReport | AuditProblems, { stdout, stderr }: Terminal): number {
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
    stdout(
      "Verified with the key in the export itself. To prove where it comes from, pass --key with a key from a trusted source.",
    );
  if (upTo === 0)
    stdout("No --checkpoint was given: the holder of the signing key could have rewritten the whole log.");
  else stdout(`Entries up to ${upTo - 1} are unchanged since the newest of the checkpoints given.`);
  return 0;
}

const exportCommand: Command = {
  name: "log export",
  args: "[file]",
  summary: "export the log as text that anyone can verify (default: to standard output)",
  run: (args, terminal) =>
    withKeyring(args, async (store, config, keyring) => {
      await writeCheckpointNow(store, config, keyring);
      const [file] = args.positionals;
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
        throw toFileError(file, error);
      }
    }),
};

const showCommand: Command = {
  name: "log show",
  summary: "list the newest entries, oldest first",
  options: {
    request: { type: "string", value: "ID", summary: "only entries about this request" },
    limit: { type: "string", value: "N", summary: "maximum number (default: 50)" },
    json: { type: "boolean", summary: "print the exact entries, one per line" },
  },
  run: (args, { stdout }) =>
    withStore(args, async (store) => {
      const limit = Number(args.option("limit") ?? "50");
      if (!Number.isSafeInteger(limit) || limit < 1)
        throw new OperatorError("--limit takes a whole number from 1");
      const entries = [...(await store.log.newest(limit, args.option("request")))].reverse();
      if (entries.length === 0) stdout("no entries");
      for (const entry of entries) stdout(args.flag("json") ? entry.line : formatEntry(entry));
    }),
};

function formatEntry({ index, line, texts }: LoggedEntry): string {
  const { at, event, request, agent, approver, token, api, facts }: Entry = JSON.parse(line);
  const error = typeof facts?.error === "string" ? facts.error : undefined;
  const ids = { error, agent, approver, api, request, token };
  const idLabels = Object.entries(ids).flatMap(([name, id]) => (id === undefined ? [] : [`${name}=${id}`]));
  const textLines = Object.entries(texts).flatMap(([name, { text }]) =>
    name === "card" ? [] : [`${name}: ${replaceControlChars(text)}`],
  );
  const position = index < 0 ? "     -" : String(index).padStart(6);
  return [
    `${position}  ${new Date(at).toISOString()}  ${event.padEnd(18)} ${idLabels.join(" ")}`,
    ...textLines.map((text) => `        ${text}`),
  ].join("\n");
}

const keyCommand: Command = {
  name: "log key",
  summary: "print the log's public key, which verifiers need",
  run: (args, { stdout }) => withKeyring(args, async (_store, _config, keyring) => stdout(keyring.logKey)),
};

const checkpointCommand: Command = {
  name: "log checkpoint",
  summary: "print the newest signed checkpoint; keep a copy on a system that this one cannot change",
  run: (args, { stdout }) =>
    withKeyring(args, async (store, config, keyring) => {
      await writeCheckpointNow(store, config, keyring);
      stdout(((await store.log.newestCheckpoint())?.note ?? "").trimEnd());
    }),
};

const eraseCommand: Command = {
  name: "log erase",
  args: "<request>",
  summary: "erase the personal text of a request's entries for good; the log still verifies",
  run: (args, { stdout }) =>
    withStore(args, async (store) => {
      const [request = ""] = args.positionals;
      const erasedCount = await eraseTexts(store, request);
      if (erasedCount === 0) throw new OperatorError(`the log has no text about ${request}`);
      stdout(
        `erased the texts of ${erasedCount === 1 ? "one entry" : `${erasedCount} entries`}; they can no longer be shown or proved`,
      );
    }),
};

export const logCommands: readonly Command[] = [
  verifyCommand,
  exportCommand,
  showCommand,
  keyCommand,
  checkpointCommand,
  eraseCommand,
];

const notePattern = /[^\n]+\n[^\n]+\n[^\n]+\n(?:[^\n]+\n)*\n(?:\u2014 [^\n]+\n)+/g;

/**
 * Reads a file of checkpoints: signed notes, one after another, each a body, an empty line, and lines that begin with a dash.
 * Other text may be the rest of a damaged note, so the file is rejected.
 */
function readNotes(file: string): string[] {
  const text = readTextFile(file).replaceAll("\r\n", "\n");
  const notes = text.match(notePattern) ?? [];
  if (notes.length === 0 || text.replaceAll(notePattern, "").trim() !== "")
    throw new OperatorError(
      `${file} is not a file of signed checkpoints, or is damaged`,
      "Print a valid one: countersign log checkpoint",
    );
  return notes;
}

export function readTextFile(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw toFileError(file, error);
  }
}

async function* readChunks(file: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(file);
  } catch (error) {
    throw toFileError(file, error);
  }
}

export function toFileError(file: string, error: unknown): OperatorError {
  const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
  const reasons: Record<string, string> = {
    ENOENT: "does not exist",
    EEXIST: "already exists",
    EACCES: "cannot be accessed: permission denied",
  };
  return new OperatorError(`${file} ${reasons[code] ?? `cannot be used (${code})`}`);
}
