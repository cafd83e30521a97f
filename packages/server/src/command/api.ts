import { nameForm } from "../config/shape.ts";
import { addApi, remove } from "../operations/admit.ts";
import type { Command } from "./command.ts";
import { withStore } from "./deployment.ts";
import { OperatorError } from "./operator-error.ts";
import { table } from "./table.ts";

const idRemedy = "Use up to 64 letters, digits, dots, hyphens and underscores.";

export const apiCommands: readonly Command[] = [
  {
    name: "api add",
    takes: "<id>",
    says: "give an API credentials to spend tokens with; prints its secret once",
    options: { api: { type: "string", value: "NAME", says: "which of the configuration's apis it is" } },
    run: (given, { print }) =>
      withStore(given, async (store, config) => {
        const [id = ""] = given.words;
        if (!nameForm.test(id)) throw new OperatorError(`"${id}" is no id for an API`, idRemedy);
        const api = given.one("api");
        const names = [...config.apis.keys()].join(", ");
        const audience = api === undefined ? undefined : config.apis.get(api)?.audience;
        if (api === undefined || audience === undefined)
          throw new OperatorError(
            api === undefined ? "which API is it?" : `the API "${api}" is not declared`,
            `Give --api; declared are: ${names}`,
          );
        const answer = await addApi(store, id, api);
        if ("refused" in answer)
          throw new OperatorError(
            `there are credentials ${id} already`,
            `countersign api remove ${id} takes them away first.`,
          );
        print(
          `${id} may spend tokens for ${audience}\nclient_id=${id}\nclient_secret=${answer.secret}\nThe secret is shown this once; only its hash is kept.`,
        );
      }),
  },
  {
    name: "api list",
    says: "the APIs that may spend tokens",
    options: { json: { type: "boolean", says: "as JSON lines" } },
    run: (given, { print }) =>
      withStore(given, async (store, config) => {
        const rows = (await store.list("api")).map(({ record: { id, api } }) => ({
          id,
          api,
          audience: config.apis.get(api)?.audience ?? "(not declared any more)",
        }));
        print(table(rows, given.flag("json"), "no API credentials yet: countersign api add"));
      }),
  },
  {
    name: "api remove",
    takes: "<id>",
    says: "take an API's credentials away",
    run: (given, { print }) =>
      withStore(given, async (store) => {
        const [id = ""] = given.words;
        if ((await remove(store, "api", id)) !== "done")
          throw new OperatorError(`there are no credentials ${id}`, "countersign api list shows them.");
        print(`${id} is removed`);
      }),
  },
];
