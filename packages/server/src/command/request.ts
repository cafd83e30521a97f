import { type RequestState, requestStates, shortDigest } from "@countersign/protocol";
import { formatCardSummary } from "../domain/action/card.ts";
import { type ApprovalRequest, getRequestState } from "../domain/request/request.ts";
import { cancelRequest } from "../usecase/request/cancel.ts";
import type { Command } from "./cli/command.ts";
import { parseRequestId, withStore } from "./cli/deployment.ts";
import { OperatorError } from "./cli/operator-error.ts";
import { formatTable } from "./cli/table.ts";

const states = requestStates.join(", ");

const listCommand: Command = {
  name: "requests",
  summary: "list the requests and their status, newest first",
  options: {
    state: { type: "string", value: "STATE", summary: `only requests in this state: ${states}` },
    limit: { type: "string", value: "N", summary: "maximum number (default: 50)" },
    json: { type: "boolean", summary: "print JSON lines" },
  },
  run: (args, { stdout }) =>
    withStore(args, async (store) => {
      const state = args.option("state") as RequestState | undefined;
      if (state && !requestStates.includes(state))
        throw new OperatorError(`"${state}" is not a state`, `Use one of ${states}.`);
      const limit = Number(args.option("limit") ?? "50");
      if (!Number.isSafeInteger(limit) || limit < 1)
        throw new OperatorError("--limit takes a whole number from 1");
      const rows = (await store.listRequests({ limit, ...(state && { state }) })).map((request) => ({
        id: request.id,
        asked: new Date(request.createdAt).toISOString(),
        state: getRequestState(request, store.now()),
        agent: request.agent,
        code: shortDigest(request.digest),
        action: formatCardSummary(request.card),
      }));
      stdout(formatTable(rows, args.flag("json"), "no requests"));
    }),
};

const showCommand: Command = {
  name: "requests show",
  args: "<id>",
  summary: "show a request: card, approvers, status",
  run: (args, { stdout }) =>
    withStore(args, async (store) => {
      const [argument = ""] = args.positionals;
      const id = parseRequestId(argument);
      const found = await store.read("request", id);
      if (!found) throw new OperatorError(`there is no request ${id}`, "countersign requests shows them.");
      stdout(
        JSON.stringify(
          { ...found.record, state: getRequestState(found.record, store.now()) } satisfies ApprovalRequest & {
            state: RequestState;
          },
          null,
          2,
        ),
      );
    }),
};

const cancelCommand: Command = {
  name: "requests cancel",
  args: "<id>",
  summary: "cancel a request for which no token has been issued",
  run: (args, { stdout }) =>
    withStore(args, async (store) => {
      const [argument = ""] = args.positionals;
      const id = parseRequestId(argument);
      const result = await cancelRequest(store, id);
      if ("refused" in result)
        throw new OperatorError(
          result.refused === "unknown"
            ? `there is no request ${id}`
            : `the request cannot be cancelled: its status is ${result.refused}`,
        );
      stdout(`cancelled ${id}`);
    }),
};

export const requestCommands: readonly Command[] = [listCommand, showCommand, cancelCommand];
