/**
 * Where the stories are played: a real Countersign server started by its command, an API and its agents as processes of
 * their own, all in a temporary folder and on ports that are free. It sets up what an operator would, in the operator's
 * words, and takes all of it down again. It never reaches into the server or the store, and knows nothing of the stories.
 */
import { copyFileSync, readFileSync, rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { editConfigFile } from "@countersign/testing/server/edit-config";
import { type Agent, startAgent } from "./agent.ts";
import type { Heard } from "./agent-probe.ts";
import { freePort } from "./port.ts";
import { type Started, start } from "./process.ts";

export type Story = {
  /** The story's folder, with `countersign.yaml`, `agent.ts` and `api.ts` in it. */
  readonly folder: URL;
  readonly agent: { readonly id: string; readonly name: string; readonly type: string };
  /** `of` is the API's name in the rules. */
  readonly api: { readonly id: string; readonly of: string };
  readonly approvers: readonly { readonly email: string; readonly name: string }[];
  /** Where the server listens if that port is free. */
  readonly port?: number;
};

export type StoryOptions = {
  /** Held at the API's door, until the story lets it go on. */
  readonly held?: boolean;
  readonly listen?: (heard: Heard) => void;
};

export type StoryHarness = {
  readonly issuer: string;
  /** The API's URL. */
  readonly api: string;
  /** The enrolment links, in the order of the story's approvers. */
  readonly links: readonly string[];
  /** Where the server and the agents keep their files. */
  readonly folder: string;
  /** Starts an agent that is given this to do. */
  readonly agent: (task: unknown, casting?: StoryOptions) => Agent;
  /** What the API lists under a path: all that it ever did. */
  readonly done: (path: string) => Promise<readonly Record<string, unknown>[]>;
  /** Runs a `countersign` command and answers what it prints. Throws what it complains of. */
  readonly countersign: (...words: string[]) => Promise<string>;
  /** Ends every process and removes the folder. */
  readonly close: () => Promise<void>;
};

type Ending = Pick<Started, "end">;

const command = new URL("../../packages/server/src/main.ts", import.meta.url);

const folders = new Set<string>();
process.on("exit", () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** Throws what the server, the command or the API complains of, after taking down what stood already. */
export async function openHarness(story: Story): Promise<StoryHarness> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort(attempt === 1 ? story.port : undefined);
    const folder = await mkdtemp(join(tmpdir(), "countersign-stage-"));
    folders.add(folder);
    const started: Ending[] = [];
    try {
      return await setUp(story, port, folder, started);
    } catch (error) {
      await takeDown(folder, started);
      // Somebody took the port after it was found free.
      if (attempt === 5 || !String(error).includes("is in use")) throw error;
    }
  }
}

async function setUp(story: Story, port: number, folder: string, started: Ending[]): Promise<StoryHarness> {
  const issuer = `http://localhost:${port}`;
  const sample = fileURLToPath(new URL("countersign.yaml", story.folder));
  const config = join(folder, "countersign.yaml");
  // The port of the sample needs no edit, and an edit without effect is an error.
  if (readFileSync(sample, "utf8").includes(`issuer: ${issuer}\n`)) copyFileSync(sample, config);
  else editConfigFile(sample, { issuer, listen: { port } }, config);

  const run = (file: URL, words: readonly string[], env?: Record<string, string>) => {
    const process = start({ file, words, folder, ...(env && { env }) });
    started.push(process);
    return process;
  };
  const countersign = async (...words: string[]) => {
    const process = run(command, words);
    if ((await process.ended) !== 0)
      throw new Error(`countersign ${words.join(" ")}\n${process.complaints()}`);
    return process.lines.join("\n");
  };

  await countersign("init");
  const { agent, api, approvers } = story;
  // The commands work on the same store at the same time, as they may beside a running server.
  const [, agentSecret, apiProcess, ...invitations] = await Promise.all([
    run(command, ["start"]).line(/listens on /),
    countersign("agent", "add", agent.id, "--name", agent.name, "--type", agent.type).then(secretIn),
    countersign("api", "add", api.id, "--for", api.of).then((said) => {
      const credentials = environment(issuer, api.id, secretIn(said));
      return run(new URL("api.ts", story.folder), [], { ...credentials, PORT: "0" }).line(/listens on (\S+)/);
    }),
    ...approvers.map(({ email, name }) => countersign("approver", "invite", email, "--name", name)),
  ]);
  const apiUrl = apiProcess[1]!;
  return {
    issuer,
    api: apiUrl,
    links: invitations.map((said) => /https?:\S+/.exec(said)![0]),
    folder,
    agent: (task, { held, listen } = {}) => {
      const env = { ...environment(issuer, agent.id, agentSecret), API_URL: apiUrl };
      const program = { file: new URL("agent.ts", story.folder), words: [JSON.stringify(task)], env, folder };
      const actor = startAgent(program, held ? apiUrl : undefined, listen);
      started.push(actor);
      return actor;
    },
    done: async (path) => (await (await fetch(`${apiUrl}${path}`)).json()) as Record<string, unknown>[],
    countersign,
    close: () => takeDown(folder, started),
  };
}

function secretIn(said: string): string {
  return /^client_secret=(\S+)$/m.exec(said)![1]!;
}

/** How an agent or an API is told who it is. */
function environment(issuer: string, id: string, secret: string): Record<string, string> {
  return { COUNTERSIGN_ISSUER: issuer, COUNTERSIGN_CLIENT_ID: id, COUNTERSIGN_CLIENT_SECRET: secret };
}

async function takeDown(folder: string, started: readonly Ending[]): Promise<void> {
  await Promise.all(started.map((process) => process.end()));
  await rm(folder, { recursive: true, force: true });
  folders.delete(folder);
}
