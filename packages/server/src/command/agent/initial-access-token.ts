/** Letting agents register themselves: initial access tokens, made, listed and withdrawn by command. */
import {
  createInitialAccessToken,
  revokeInitialAccessToken,
} from "../../usecase/client/initial-access-token.ts";
import type { Command } from "../cli/command.ts";
import { withStore } from "../cli/deployment.ts";
import { OperatorError } from "../cli/operator-error.ts";
import { table } from "../cli/table.ts";
import { parseName } from "./option.ts";

const units: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };
const longestMs = 30 * 86_400_000;

export const allowanceCommands: readonly Command[] = [
  {
    name: "agent allow-registration",
    summary: "let agents register themselves; prints the initial access token once",
    options: {
      name: { type: "string", value: "NAME", summary: "what approvers see on every card of theirs" },
      type: {
        type: "string",
        multiple: true,
        value: "TYPE",
        summary: "an action type or action scope they may register for; repeat for more",
      },
      uses: { type: "string", value: "N", summary: "how many may register by it (default: 1)" },
      expires: {
        type: "string",
        value: "TIME",
        summary: "until when: 30m, 24h, 7d; 30 days at most (default: 24h)",
      },
    },
    run: (given, { stdout }) =>
      withStore(given, async (store, config) => {
        const name = given.one("name");
        if (name === undefined)
          throw new OperatorError(
            "agents that register themselves do not choose what cards call them",
            "Give --name: approvers read it on every card.",
          );
        const declared = [...config.actions.keys()];
        const types = [...new Set(given.many("type"))];
        const unknown = types.find((type) => !declared.includes(type));
        if (types.length === 0 || unknown !== undefined)
          throw new OperatorError(
            unknown === undefined
              ? "an agent without action types could ask for nothing"
              : `the action type "${unknown}" is not declared`,
            `Give --type; declared are: ${declared.join(", ")}`,
          );
        const uses = readUses(given.one("uses") ?? "1");
        const expiresAt = store.now() + readTime(given.one("expires") ?? "24h");
        const { token } = await createInitialAccessToken(store, {
          name: parseName(name),
          types,
          uses,
          expiresAt,
        });
        if (!config.registration.enabled)
          stdout("note: registration.enabled is not true in the configuration, so nobody can register yet");
        stdout(
          [
            `${uses === 1 ? "one agent" : `${uses} agents`} may register for ${types.join(", ")}, as ${name},`,
            `at ${config.issuer}/register, until ${new Date(expiresAt).toISOString()}`,
            `initial_access_token=${token}`,
            "The token is shown this once; only its hash is kept.",
          ].join("\n"),
        );
      }),
  },
  {
    name: "agent allowances",
    summary: "the allowances to register that are still good",
    options: { json: { type: "boolean", summary: "as JSON lines" } },
    run: (given, { stdout }) =>
      withStore(given, async (store) => {
        const now = store.now();
        const open = (await store.list("initial_access_token")).filter(
          ({ record }) => record.expiresAt > now,
        );
        const rows = open.map(({ record: { id, name, types, usesLeft, expiresAt } }) => ({
          id,
          name,
          types: types.join(" "),
          uses: usesLeft,
          expires: new Date(expiresAt).toISOString(),
        }));
        stdout(table(rows, given.flag("json"), "nobody may register: countersign agent allow-registration"));
      }),
  },
  {
    name: "agent withdraw-allowance",
    args: "<id>",
    summary: "end an allowance; agents that registered by it stay",
    run: (given, { stdout }) =>
      withStore(given, async (store) => {
        const [id = ""] = given.words;
        if ((await revokeInitialAccessToken(store, id)) === "unknown")
          throw new OperatorError(
            `there is no allowance ${id}`,
            "countersign agent allowances shows those that are still good.",
          );
        stdout("withdrawn: nobody registers by it any more");
      }),
  },
];

function readUses(text: string): number {
  if (!/^[1-9][0-9]{0,3}$/.test(text))
    throw new OperatorError(`--uses: "${text}" is no number of agents`, "Use a number from 1 to 9999.");
  return Number(text);
}

function readTime(text: string): number {
  const [, digits = "", unit = ""] = /^([1-9][0-9]{0,5})([mhd])$/.exec(text) ?? [];
  const ms = Number(digits) * (units[unit] ?? 0);
  if (ms === 0 || ms > longestMs)
    throw new OperatorError(
      `--expires: "${text}" is no time`,
      "Use something like 30m, 24h or 7d; 30 days at most.",
    );
  return ms;
}
