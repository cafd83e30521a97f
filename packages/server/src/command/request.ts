import { type RequestState, requestStates, shortDigest } from "@countersign/protocol";
import { sentenceText } from "../action/card.ts";
import { type Approval, stateAt } from "../approval/approval.ts";
import { cancelRequest } from "../operations/cancel.ts";
import type { Command } from "./command.ts";
import { requestOf, withStore } from "./deployment.ts";
import { OperatorError } from "./operator-error.ts";
import { table } from "./table.ts";

const states = requestStates.join(", ");

const list: Command = {
  name: "requests",
  says: "what was asked, newest first, and how it stands",
  options: {
    state: { type: "string", value: "STATE", says: `only those: ${states}` },
    limit: { type: "string", value: "N", says: "how many (default: 50)" },
    json: { type: "boolean", says: "as JSON lines" },
  },
  run: (given, { print }) =>
    withStore(given, async (store) => {
      const state = given.one("state") as RequestState | undefined;
      if (state && !requestStates.includes(state))
        throw new OperatorError(`"${state}" is no state`, `Use one of ${states}.`);
      const limit = Number(given.one("limit") ?? "50");
      if (!Number.isSafeInteger(limit) || limit < 1)
        throw new OperatorError("--limit takes a whole number from 1");
      const rows = (await store.requests({ limit, ...(state && { state }) })).map((approval) => ({
        id: approval.id,
        asked: new Date(approval.createdAt).toISOString(),
        state: stateAt(approval, store.now()),
        agent: approval.agent,
        code: shortDigest(approval.digest),
        action: sentenceText(approval.card),
      }));
      print(table(rows, given.flag("json"), "no requests"));
    }),
};

const show: Command = {
  name: "requests show",
  takes: "<id>",
  says: "one request: its card, who may decide, what became of it",
  run: (given, { print }) =>
    withStore(given, async (store) => {
      const [word = ""] = given.words;
      const id = requestOf(word);
      const held = await store.read("approval", id);
      if (!held) throw new OperatorError(`there is no request ${id}`, "countersign requests shows them.");
      print(
        JSON.stringify(
          { ...held.record, state: stateAt(held.record, store.now()) } satisfies Approval & {
            state: RequestState;
          },
          null,
          2,
        ),
      );
    }),
};

const cancellation: Command = {
  name: "requests cancel",
  takes: "<id>",
  says: "withdraw a request that has not become a token",
  run: (given, { print }) =>
    withStore(given, async (store) => {
      const [word = ""] = given.words;
      const id = requestOf(word);
      const answer = await cancelRequest(store, id);
      if ("refused" in answer)
        throw new OperatorError(
          answer.refused === "unknown"
            ? `there is no request ${id}`
            : `the request is ${answer.refused} and stays so`,
        );
      print(`${id} is cancelled`);
    }),
};

export const requestCommands: readonly Command[] = [list, show, cancellation];
