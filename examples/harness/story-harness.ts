/**
 * Harness of the stories: a real Countersign server started by its command, an API and agents as separate processes, in a temporary
 * directory and on free ports. It uses operator commands only, never the server's internals or the store, and stops everything.
 */
import { copyFileSync, readFileSync, rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { editConfigFile } from "@countersign/testing/server/edit-config";
import { type Agent, startAgent } from "./agent.ts";
import type { ReceivedResponse } from "./agent-probe.ts";
import { freePort } from "./port.ts";
import { type Started, start } from "./process.ts";

export type Story = {
  /** The story's directory, with `countersign.yaml`, `agent.ts` and `api.ts`. */
  readonly folder: URL;
  readonly agent: { readonly id: string; readonly name: string; readonly type: string };
  /** `of` is the API's name in the configuration. */
  readonly api: { readonly id: string; readonly of: string };
  readonly approvers: readonly { readonly email: string; readonly name: string }[];
  /** Preferred port of the server. */
  readonly port?: number;
};

export type StoryOptions = {
  /** Hold the agents' calls to the API. */
  readonly holdCalls?: boolean;
  readonly onResponse?: (response: ReceivedResponse) => void;
};

export type StoryHarness = {
  readonly issuer: string;
  /** The API's URL. */
  readonly api: string;
  /** Enrolment links, in the order of the story's approvers. */
  readonly enrolmentLinks: readonly string[];
  /** Directory of server and agents. */
  readonly folder: string;
  /** Starts an agent with a task. */
  readonly agent: (task: unknown, options?: StoryOptions) => Agent;
  /** Returns the API's performed actions, listed under a path. */
  readonly listActions: (path: string) => Promise<readonly Record<string, unknown>[]>;
  /** Runs a `countersign` command. Returns its output; rejects with its error output. */
  readonly countersign: (...args: string[]) => Promise<string>;
  /** Ends every process and removes the directory. */
  readonly close: () => Promise<void>;
};

type EndableProcess = Pick<Started, "end">;

const command = new URL("../../packages/server/src/main.ts", import.meta.url);

const folders = new Set<string>();
process.on("exit", () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** Starts the story. Rejects with the error output of server, command or API, after stopping everything. */
export async function openHarness(story: Story): Promise<StoryHarness> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort(attempt === 1 ? story.port : undefined);
    const folder = await mkdtemp(join(tmpdir(), "countersign-stage-"));
    folders.add(folder);
    const started: EndableProcess[] = [];
    try {
      return await startStory(story, port, folder, started);
    } catch (error) {
      await stopStory(folder, started);
      // The port was taken in the meantime.
      if (attempt === 5 || !String(error).includes("is in use")) throw error;
    }
  }
}

async function startStory(
  story: Story,
  port: number,
  folder: string,
  started: EndableProcess[],
): Promise<StoryHarness> {
  const issuer = `http://localhost:${port}`;
  const sample = fileURLToPath(new URL("countersign.yaml", story.folder));
  const config = join(folder, "countersign.yaml");
  // The port of the sample needs no edit, and an edit without effect is an error.
  if (readFileSync(sample, "utf8").includes(`issuer: ${issuer}\n`)) copyFileSync(sample, config);
  else editConfigFile(sample, { issuer, listen: { port } }, config);

  const run = (file: URL, args: readonly string[], env?: Record<string, string>) => {
    const process = start({ file, args, folder, ...(env && { env }) });
    started.push(process);
    return process;
  };
  const countersign = async (...args: string[]) => {
    const process = run(command, args);
    if ((await process.ended) !== 0)
      throw new Error(`countersign ${args.join(" ")}\n${process.errorOutput()}`);
    return process.lines.join("\n");
  };

  await countersign("init");
  const { agent, api, approvers } = story;
  // Commands may run concurrently on the store, also beside a running server.
  const [, agentSecret, apiProcess, ...invitations] = await Promise.all([
    run(command, ["start"]).waitForLine(/listens on /),
    countersign("agent", "add", agent.id, "--name", agent.name, "--type", agent.type).then(parseSecret),
    countersign("api", "add", api.id, "--for", api.of).then((output) => {
      const credentials = environment(issuer, api.id, parseSecret(output));
      return run(new URL("api.ts", story.folder), [], { ...credentials, PORT: "0" }).waitForLine(
        /listens on (\S+)/,
      );
    }),
    ...approvers.map(({ email, name }) => countersign("approver", "invite", email, "--name", name)),
  ]);
  const apiUrl = apiProcess[1]!;
  return {
    issuer,
    api: apiUrl,
    enrolmentLinks: invitations.map((output) => /https?:\S+/.exec(output)![0]),
    folder,
    agent: (task, { holdCalls, onResponse } = {}) => {
      const env = { ...environment(issuer, agent.id, agentSecret), API_URL: apiUrl };
      const program = { file: new URL("agent.ts", story.folder), args: [JSON.stringify(task)], env, folder };
      const agentProcess = startAgent(program, holdCalls ? apiUrl : undefined, onResponse);
      started.push(agentProcess);
      return agentProcess;
    },
    listActions: async (path) =>
      (await (await fetch(`${apiUrl}${path}`)).json()) as Record<string, unknown>[],
    countersign,
    close: () => stopStory(folder, started),
  };
}

function parseSecret(output: string): string {
  return /^client_secret=(\S+)$/m.exec(output)![1]!;
}

/** Environment variables with the credentials of an agent or API. */
function environment(issuer: string, id: string, secret: string): Record<string, string> {
  return { COUNTERSIGN_ISSUER: issuer, COUNTERSIGN_CLIENT_ID: id, COUNTERSIGN_CLIENT_SECRET: secret };
}

async function stopStory(folder: string, started: readonly EndableProcess[]): Promise<void> {
  await Promise.all(started.map((process) => process.end()));
  await rm(folder, { recursive: true, force: true });
  folders.delete(folder);
}
