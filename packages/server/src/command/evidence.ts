import { writeFileSync } from "node:fs";
import { shortDigest } from "@countersign/protocol";
import { exportEvidence, verifyEvidence } from "../audit/audit.ts";
import { type Card, formatCardSummary } from "../domain/action/card.ts";
import type { Command } from "./cli/command.ts";
import { parseRequestId, withKeyring, writeCheckpointNow } from "./cli/deployment.ts";
import { OperatorError } from "./cli/operator-error.ts";
import { readTextFile, toFileError } from "./log.ts";

const exportCommand: Command = {
  name: "evidence export",
  args: "<request> [file]",
  summary: "export the evidence of a request as one verifiable document (default: to standard output)",
  run: (args, { stdout }) =>
    withKeyring(args, async (store, config, keyring) => {
      const [id = "", file] = args.positionals;
      const request = parseRequestId(id);
      await writeCheckpointNow(store, config, keyring);
      const document = await exportEvidence(store.log, keyring.logKey, request);
      if (typeof document !== "string")
        throw new OperatorError(
          `the log has no entries for ${request}`,
          "List the requests: countersign requests",
        );
      if (file === undefined) return stdout(document);
      try {
        writeFileSync(file, document, { flag: "wx", mode: 0o600 });
      } catch (error) {
        throw toFileError(file, error);
      }
      stdout(`wrote ${file}`);
    }),
};

const verifyCommand: Command = {
  name: "evidence verify",
  args: "<file>",
  summary: "verify an evidence document offline and report what it proves",
  options: {
    key: { type: "string", value: "KEY", summary: "the log's public key, from a trusted source" },
  },
  run: async (args, { stdout, stderr }) => {
    const [file = ""] = args.positionals;
    const key = args.option("key");
    const result = await verifyEvidence(readTextFile(file), key === undefined ? {} : { key });
    if ("problems" in result) {
      for (const { index, message: what } of result.problems)
        stderr(index === undefined ? what : `entry ${index}: ${what}`);
      stderr("the evidence does NOT verify");
      return 1;
    }
    const { origin, request, state, decision, token, card, entries } = result;
    stdout(`${request} in the log of ${origin}: ${state}, by ${entries.length} entries`);
    if (card) stdout(formatCardSummary(card as unknown as Card));
    const digest = entries.find(({ entry }) => entry.digest !== undefined)?.entry.digest;
    if (digest !== undefined) stdout(`check code ${shortDigest(digest)}`);
    if (decision) {
      const verdict = decision.verdict === "approve" ? "approved" : "denied";
      const proof = decision.signed
        ? "signed with their passkey; the signature is valid"
        : "not signed by a passkey";
      stdout(`${verdict} by ${decision.approver} at ${new Date(decision.at).toISOString()} (${proof})`);
    }
    if (token) stdout(`token ${token.id}: ${token.state}`);
    if (result.key === "own")
      stdout(
        "Verified with the key in the document itself. To prove where it comes from, pass --key with a key from a trusted source.",
      );
    return 0;
  },
};

export const evidenceCommands: readonly Command[] = [exportCommand, verifyCommand];
