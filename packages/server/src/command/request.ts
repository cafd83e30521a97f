import { type RequestState, requestStates, shortDigest } from "@countersign/protocol";
import { sentenceText } from "../domain/action/card.ts";
import { type ApprovalRequest, stateAt } from "../domain/request/request.ts";
import { cancelRequest } from "../usecase/request/cancel.ts";
import type { Command } from "./cli/command.ts";
import { parseRequestId, withStore } from "./cli/deployment.ts";
import { OperatorError } from "./cli/operator-error.ts";
import { table } from "./cli/table.ts";

const states = requestStates.join(", ");

const list: Command = {
  name: "requests",
  summary: "what was asked, newest first, and how it stands",
  options: {
    state: { type: "string", value: "STATE", summary: `only those: ${states}` },
    limit: { type: "string", value: "N", summary: "how many (default: 50)" },
    json: { type: "boolean", summary: "as JSON lines" },
  },
  run: (given, { stdout }) =>
    withStore(given, async (store) => {
      const state = given.one("state") as RequestState | undefined;
      if (state && !requestStates.includes(state))
        throw new OperatorError(`"${state}" is no state`, `Use one of ${states}.`);
      const limit = Number(given.one("limit") ?? "50");
      if (!Number.isSafeInteger(limit) || limit < 1)
        throw new OperatorError("--limit takes a whole number from 1");
      const rows = (await store.listRequests({ limit, ...(state && { state }) })).map((request) => ({
        id: request.id,
        asked: new Date(request.createdAt).toISOString(),
        state: stateAt(request, store.now()),
        agent: request.agent,
        code: shortDigest(request.digest),
        action: sentenceText(request.card),
      }));
      stdout(table(rows, given.flag("json"), "no requests"));
    }),
};

const show: Command = {
  name: "requests show",
  args: "<id>",
  summary: "one request: its card, who may decide, what became of it",
  run: (given, { stdout }) =>
    withStore(given, async (store) => {
      const [word = ""] = given.words;
      const id = parseRequestId(word);
      const found = await store.read("request", id);
      if (!found) throw new OperatorError(`there is no request ${id}`, "countersign requests shows them.");
      stdout(
        JSON.stringify(
          { ...found.record, state: stateAt(found.record, store.now()) } satisfies ApprovalRequest & {
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
  args: "<id>",
  summary: "withdraw a request that has not become a token",
  run: (given, { stdout }) =>
    withStore(given, async (store) => {
      const [word = ""] = given.words;
      const id = parseRequestId(word);
      const answer = await cancelRequest(store, id);
      if ("refused" in answer)
        throw new OperatorError(
          answer.refused === "unknown"
            ? `there is no request ${id}`
            : `the request is ${answer.refused} and stays so`,
        );
      stdout(`${id} is cancelled`);
    }),
};

export const requestCommands: readonly Command[] = [list, show, cancellation];
