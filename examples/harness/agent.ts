/** Controls an agent's process: its received responses, its held API call, and its outcome. */

import type { Call, ProbeMessage, ReceivedResponse, SentRequest } from "./agent-probe.ts";
import { type Program, type Started, start } from "./process.ts";

/** An API call that is held until `release`. */
export type HeldCall = Call & {
  readonly release: () => void;
  /** Sends the same call with the same token, optionally with changed fields, as an attacker with the token could. */
  readonly repeat: (changed?: object) => Promise<{ status: number; body: string }>;
};

export type Agent = Omit<Started, "waitForLine"> & {
  /** All responses received so far. */
  readonly responses: readonly ReceivedResponse[];
  /** Resolves with the first matching response. Rejects if the agent ends without one. */
  readonly waitForResponse: (matches: (response: ReceivedResponse) => boolean) => Promise<ReceivedResponse>;
  /** Resolves when the agent sends its first poll: its request is pending and stored. Rejects if it ends before. */
  readonly waitForPoll: () => Promise<void>;
  /** Resolves when the agent is about to call the API, and holds the call. Rejects if the agent ends without a call. */
  readonly waitForCall: () => Promise<HeldCall>;
  /** The same, but resolves to undefined if the agent ends without a call. */
  readonly waitForCallOrEnd: () => Promise<HeldCall | undefined>;
  /** Resolves to its printed JSON when it has ended. Rejects if it fails. */
  // biome-ignore lint/suspicious/noExplicitAny: each story's agent has an outcome of its own
  readonly outcome: () => Promise<any>;
};

const probe = new URL("agent-probe.ts", import.meta.url);

/** Starts an agent. Calls to the API at `heldApiUrl` are held. Default: none. */
export function startAgent(
  program: Program,
  heldApiUrl?: string,
  onResponse: (response: ReceivedResponse) => void = () => {},
): Agent {
  const { file } = program;
  const env = { ...program.env, ...(heldApiUrl !== undefined && { PROBE_HELD_API: heldApiUrl }) };
  const { waitForLine: _, ...started } = start({ ...program, env, preload: probe });
  const { child, lines, ended, errorOutput } = started;
  const responses: ReceivedResponse[] = [];
  const sent: SentRequest[] = [];
  const listeners = new Set<() => void>();
  let held: HeldCall | undefined;
  child.on("message", (message: ProbeMessage) => {
    if ("call" in message)
      held = { ...message.call, release: () => child.send("go on"), repeat: repeat(message.call) };
    else if ("request" in message) sent.push(message.request);
    else {
      responses.push(message.response);
      onResponse(message.response);
    }
    for (const listener of listeners) listener();
  });

  function waitUntil<T>(find: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const check = () => {
        const found = find();
        if (found === undefined) return;
        listeners.delete(check);
        resolve(found);
      };
      listeners.add(check);
      check();
      ended.then(
        (exitStatus) =>
          reject(
            new Error(`${file.pathname} ended (${exitStatus}) first\n${lines.join("\n")}\n${errorOutput()}`),
          ),
        reject,
      );
    });
  }

  return {
    ...started,
    responses,
    waitForResponse: (matches) => waitUntil(() => responses.find(matches)),
    waitForPoll: () =>
      waitUntil(() => sent.some(({ url }) => url.endsWith("/oauth/token")) || undefined).then(() => {}),
    waitForCall: () => waitUntil(() => held),
    waitForCallOrEnd: () =>
      waitUntil(() => held).catch(async (error) => {
        if ((await ended) !== 0) throw error;
        return undefined;
      }),
    outcome: async () => {
      const exitStatus = await ended;
      if (exitStatus !== 0) throw new Error(`${file.pathname} ended with ${exitStatus}\n${errorOutput()}`);
      return JSON.parse(lines.at(-1) ?? "");
    },
  };
}

function repeat({ method, url, authorization, body }: Call): HeldCall["repeat"] {
  return async (changed = {}) => {
    const response = await fetch(url, {
      method,
      headers: { authorization, "content-type": "application/json" },
      body: JSON.stringify({ ...JSON.parse(body), ...changed }),
    });
    return { status: response.status, body: await response.text() };
  };
}
