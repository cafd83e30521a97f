import { writeFileSync } from "node:fs";
import { shortDigest } from "@countersign/protocol";
import { exportEvidence, verifyEvidence } from "../audit/audit.ts";
import { type Card, sentenceText } from "../domain/action/card.ts";
import type { Command } from "./cli/command.ts";
import { parseRequestId, settleLog, withKeyring } from "./cli/deployment.ts";
import { OperatorError } from "./cli/operator-error.ts";
import { fileProblem, readText } from "./log.ts";

const exporting: Command = {
  name: "evidence export",
  args: "<request> [file]",
  summary: "everything about one request in one document that proves itself (default: to standard output)",
  run: (given, { stdout }) =>
    withKeyring(given, async (store, config, keyring) => {
      const [id = "", file] = given.words;
      const request = parseRequestId(id);
      await settleLog(store, config, keyring);
      const document = await exportEvidence(store.log, keyring.logKey, request);
      if (typeof document !== "string")
        throw new OperatorError(
          `the log says nothing about ${request}`,
          "countersign requests shows what was asked.",
        );
      if (file === undefined) return stdout(document);
      try {
        writeFileSync(file, document, { flag: "wx", mode: 0o600 });
      } catch (error) {
        throw fileProblem(file, error);
      }
      stdout(`wrote ${file}`);
    }),
};

const verifying: Command = {
  name: "evidence verify",
  args: "<file>",
  summary: "check such a document, offline, and say what it proves",
  options: {
    key: { type: "string", value: "KEY", summary: "the log's public key, from somewhere you trust" },
  },
  run: async (given, { stdout, stderr }) => {
    const [file = ""] = given.words;
    const key = given.one("key");
    const result = await verifyEvidence(readText(file), key === undefined ? {} : { key });
    if ("problems" in result) {
      for (const { index, message: what } of result.problems)
        stderr(index === undefined ? what : `entry ${index}: ${what}`);
      stderr("the evidence does NOT verify");
      return 1;
    }
    const { origin, request, state, decision, token, card, entries } = result;
    stdout(`${request} in the log of ${origin}: ${state}, by ${entries.length} entries`);
    if (card) stdout(sentenceText(card as unknown as Card));
    const digest = entries.find(({ entry }) => entry.digest !== undefined)?.entry.digest;
    if (digest !== undefined) stdout(`check code ${shortDigest(digest)}`);
    if (decision) {
      const verdict = decision.verdict === "approve" ? "approved" : "denied";
      const proof = decision.signed ? "signed by their passkey, verified here" : "not signed by a passkey";
      stdout(`${verdict} by ${decision.approver} at ${new Date(decision.at).toISOString()} (${proof})`);
    }
    if (token) stdout(`token ${token.id}: ${token.state}`);
    if (result.key === "own")
      stdout("The key is the document's own word for itself: give --key, from somewhere you trust.");
    return 0;
  },
};

export const evidenceCommands: readonly Command[] = [exporting, verifying];
