/** `agent token create|list|revoke`: initial access tokens for dynamic client registration (RFC 7591 §3). */
import {
  createInitialAccessToken,
  revokeInitialAccessToken,
} from "../../usecase/client/initial-access-token.ts";
import type { Command } from "../cli/command.ts";
import { withStore } from "../cli/deployment.ts";
import { OperatorError } from "../cli/operator-error.ts";
import { formatTable } from "../cli/table.ts";
import { parseName } from "./option.ts";

const unitMs: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };
const maxLifetimeMs = 30 * 86_400_000;

export const initialAccessTokenCommands: readonly Command[] = [
  {
    name: "agent token create",
    summary: "create an initial access token, with which agents register themselves (RFC 7591); printed once",
    options: {
      name: { type: "string", value: "NAME", summary: "the agent name that approvers see on every card" },
      type: {
        type: "string",
        multiple: true,
        value: "TYPE",
        summary: "an action type or action scope that they may register for; repeatable",
      },
      uses: { type: "string", value: "N", summary: "number of registrations, 1 to 9999 (default: 1)" },
      expires: {
        type: "string",
        value: "TIME",
        summary: "lifetime: 30m, 24h, 7d; at most 30d (default: 24h)",
      },
    },
    run: (args, { stdout }) =>
      withStore(args, async (store, config) => {
        const name = args.option("name");
        if (name === undefined)
          throw new OperatorError(
            "missing --name",
            "Agents that register themselves do not choose the name that approvers see on every card.",
          );
        const declared = [...config.actions.keys()];
        const types = [...new Set(args.optionList("type"))];
        const unknown = types.find((type) => !declared.includes(type));
        if (types.length === 0 || unknown !== undefined)
          throw new OperatorError(
            unknown === undefined
              ? "missing --type: an agent without action types cannot request anything"
              : `the action type "${unknown}" is not declared`,
            `Declared action types: ${declared.join(", ")}`,
          );
        const uses = parseUses(args.option("uses") ?? "1");
        const expiresAt = store.now() + parseDuration(args.option("expires") ?? "24h");
        const { token } = await createInitialAccessToken(store, {
          name: parseName(name),
          types,
          uses,
          expiresAt,
        });
        if (!config.registration.enabled)
          stdout(
            "note: registration.enabled is false in the configuration, so registration is not possible yet",
          );
        stdout(
          [
            `${uses === 1 ? "one agent" : `${uses} agents`} may register for ${types.join(", ")}, as ${name},`,
            `at ${config.issuer}/register, until ${new Date(expiresAt).toISOString()}`,
            `initial_access_token=${token}`,
            "The token is printed once; only its hash is stored.",
          ].join("\n"),
        );
      }),
  },
  {
    name: "agent token list",
    summary: "list the initial access tokens that are still valid",
    options: { json: { type: "boolean", summary: "print JSON lines" } },
    run: (args, { stdout }) =>
      withStore(args, async (store) => {
        const now = store.now();
        const valid = (await store.list("initial_access_token")).filter(
          ({ record }) => record.expiresAt > now,
        );
        const rows = valid.map(({ record: { id, name, types, usesLeft, expiresAt } }) => ({
          id,
          name,
          types: types.join(" "),
          uses: usesLeft,
          expires: new Date(expiresAt).toISOString(),
        }));
        stdout(
          formatTable(
            rows,
            args.flag("json"),
            "no valid initial access tokens; create one: countersign agent token create",
          ),
        );
      }),
  },
  {
    name: "agent token revoke",
    args: "<id>",
    summary: "revoke an initial access token; agents that registered with it stay registered",
    run: (args, { stdout }) =>
      withStore(args, async (store) => {
        const [id = ""] = args.positionals;
        if ((await revokeInitialAccessToken(store, id)) === "unknown")
          throw new OperatorError(
            `no initial access token with id ${id}`,
            "List the valid ones: countersign agent token list",
          );
        stdout("initial access token revoked");
      }),
  },
];

function parseUses(text: string): number {
  if (!/^[1-9][0-9]{0,3}$/.test(text))
    throw new OperatorError(`--uses: "${text}" is not a number from 1 to 9999`, "For example: --uses 5");
  return Number(text);
}

function parseDuration(text: string): number {
  const [, digits = "", unit = ""] = /^([1-9][0-9]{0,5})([mhd])$/.exec(text) ?? [];
  const ms = Number(digits) * (unitMs[unit] ?? 0);
  if (ms === 0 || ms > maxLifetimeMs)
    throw new OperatorError(
      `--expires: "${text}" is not a valid lifetime`,
      "Use for example 30m, 24h or 7d; at most 30d.",
    );
  return ms;
}
