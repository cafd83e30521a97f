import { namePattern } from "../config/field.ts";
import { addApi, removeClient } from "../usecase/client/client-lifecycle.ts";
import type { Command } from "./cli/command.ts";
import { withStore } from "./cli/deployment.ts";
import { OperatorError } from "./cli/operator-error.ts";
import { formatTable } from "./cli/table.ts";

const idRemedy = "Use up to 64 letters, digits, dots, hyphens and underscores.";

export const apiCommands: readonly Command[] = [
  {
    name: "api add",
    args: "<id>",
    summary: "create credentials with which an API spends tokens; prints the secret once",
    options: {
      for: {
        type: "string",
        value: "API",
        summary: "the API in the configuration (apis) that the credentials are for",
      },
    },
    run: (args, { stdout }) =>
      withStore(args, async (store, config) => {
        const [id = ""] = args.positionals;
        if (!namePattern.test(id)) throw new OperatorError(`"${id}" is not a valid id`, idRemedy);
        const api = args.option("for");
        const names = [...config.apis.keys()].join(", ");
        const audience = api === undefined ? undefined : config.apis.get(api)?.audience;
        if (api === undefined || audience === undefined)
          throw new OperatorError(
            api === undefined ? "missing --for" : `the API "${api}" is not declared`,
            `Declared APIs: ${names}`,
          );
        const result = await addApi(store, id, api);
        if ("refused" in result)
          throw new OperatorError(
            `credentials with the id ${id} already exist`,
            `To replace them, first run countersign api remove ${id}`,
          );
        stdout(
          `${id} can spend tokens for ${audience}\nclient_id=${id}\nclient_secret=${result.secret}\nThe secret is printed only once; the server keeps only its hash.`,
        );
      }),
  },
  {
    name: "api list",
    summary: "list the API credentials",
    options: { json: { type: "boolean", summary: "print JSON lines" } },
    run: (args, { stdout }) =>
      withStore(args, async (store, config) => {
        const rows = (await store.list("api")).map(({ record: { id, api } }) => ({
          id,
          api,
          audience: config.apis.get(api)?.audience ?? "(no longer declared)",
        }));
        stdout(
          formatTable(rows, args.flag("json"), "no API credentials; create them with countersign api add"),
        );
      }),
  },
  {
    name: "api remove",
    args: "<id>",
    summary: "remove an API's credentials",
    run: (args, { stdout }) =>
      withStore(args, async (store) => {
        const [id = ""] = args.positionals;
        if ((await removeClient(store, "api", id)) !== "done")
          throw new OperatorError(`there are no credentials ${id}`, "countersign api list shows them.");
        stdout(`${id} is removed`);
      }),
  },
];
