import { namePattern } from "../config/schema.ts";
import { addApi, remove } from "../usecase/client/client-lifecycle.ts";
import type { Command } from "./cli/command.ts";
import { withStore } from "./cli/deployment.ts";
import { OperatorError } from "./cli/operator-error.ts";
import { formatTable } from "./cli/table.ts";

const idRemedy = "Use up to 64 letters, digits, dots, hyphens and underscores.";

export const apiCommands: readonly Command[] = [
  {
    name: "api add",
    args: "<id>",
    summary: "give an API credentials to spend tokens with; prints its secret once",
    options: { api: { type: "string", value: "NAME", summary: "which of the configuration's apis it is" } },
    run: (args, { stdout }) =>
      withStore(args, async (store, config) => {
        const [id = ""] = args.positionals;
        if (!namePattern.test(id)) throw new OperatorError(`"${id}" is no id for an API`, idRemedy);
        const api = args.option("api");
        const names = [...config.apis.keys()].join(", ");
        const audience = api === undefined ? undefined : config.apis.get(api)?.audience;
        if (api === undefined || audience === undefined)
          throw new OperatorError(
            api === undefined ? "which API is it?" : `the API "${api}" is not declared`,
            `Give --api; declared are: ${names}`,
          );
        const result = await addApi(store, id, api);
        if ("refused" in result)
          throw new OperatorError(
            `there are credentials ${id} already`,
            `countersign api remove ${id} takes them away first.`,
          );
        stdout(
          `${id} may spend tokens for ${audience}\nclient_id=${id}\nclient_secret=${result.secret}\nThe secret is shown this once; only its hash is kept.`,
        );
      }),
  },
  {
    name: "api list",
    summary: "the APIs that may spend tokens",
    options: { json: { type: "boolean", summary: "as JSON lines" } },
    run: (args, { stdout }) =>
      withStore(args, async (store, config) => {
        const rows = (await store.list("api")).map(({ record: { id, api } }) => ({
          id,
          api,
          audience: config.apis.get(api)?.audience ?? "(not declared any more)",
        }));
        stdout(formatTable(rows, args.flag("json"), "no API credentials yet: countersign api add"));
      }),
  },
  {
    name: "api remove",
    args: "<id>",
    summary: "take an API's credentials away",
    run: (args, { stdout }) =>
      withStore(args, async (store) => {
        const [id = ""] = args.positionals;
        if ((await remove(store, "api", id)) !== "done")
          throw new OperatorError(`there are no credentials ${id}`, "countersign api list shows them.");
        stdout(`${id} is removed`);
      }),
  },
];
