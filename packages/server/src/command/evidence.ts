import { writeFileSync } from "node:fs";
import { shortDigest } from "@countersign/protocol";
import { type Card, sentenceText } from "../action/card.ts";
import { exportEvidence, verifyEvidence } from "../log/log.ts";
import type { Command } from "./command.ts";
import { requestOf, settleLog, withKeyring } from "./deployment.ts";
import { fileProblem, readText } from "./log.ts";
import { OperatorError } from "./operator-error.ts";

const exporting: Command = {
  name: "evidence export",
  takes: "<request> [file]",
  says: "everything about one request in one document that proves itself (default: to standard output)",
  run: (given, { print }) =>
    withKeyring(given, async (store, config, keyring) => {
      const [id = "", file] = given.words;
      const request = requestOf(id);
      await settleLog(store, config, keyring);
      const document = await exportEvidence(store.log, keyring.logKey, request);
      if (typeof document !== "string")
        throw new OperatorError(
          `the log says nothing about ${request}`,
          "countersign requests shows what was asked.",
        );
      if (file === undefined) return print(document);
      try {
        writeFileSync(file, document, { flag: "wx", mode: 0o600 });
      } catch (error) {
        throw fileProblem(file, error);
      }
      print(`wrote ${file}`);
    }),
};

const verifying: Command = {
  name: "evidence verify",
  takes: "<file>",
  says: "check such a document, offline, and say what it proves",
  options: { key: { type: "string", value: "KEY", says: "the log's public key, from somewhere you trust" } },
  run: async (given, { print, complain }) => {
    const [file = ""] = given.words;
    const key = given.one("key");
    const result = await verifyEvidence(readText(file), key === undefined ? {} : { key });
    if ("problems" in result) {
      for (const { index, what } of result.problems)
        complain(index === undefined ? what : `entry ${index}: ${what}`);
      complain("the evidence does NOT verify");
      return 1;
    }
    const { origin, request, state, decision, token, card, entries } = result;
    print(`${request} in the log of ${origin}: ${state}, by ${entries.length} entries`);
    if (card) print(sentenceText(card as unknown as Card));
    const digest = entries.find(({ entry }) => entry.digest !== undefined)?.entry.digest;
    if (digest !== undefined) print(`check code ${shortDigest(digest)}`);
    if (decision) {
      const verdict = decision.verdict === "approve" ? "approved" : "denied";
      const proof = decision.signed ? "signed by their passkey, verified here" : "not signed by a passkey";
      print(`${verdict} by ${decision.approver} at ${new Date(decision.at).toISOString()} (${proof})`);
    }
    if (token) print(`token ${token.id}: ${token.state}`);
    if (result.key === "own")
      print("The key is the document's own word for itself: give --key, from somewhere you trust.");
    return 0;
  },
};

export const evidenceCommands: readonly Command[] = [exporting, verifying];
