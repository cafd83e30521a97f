/** Controls an agent's process: its received responses, its held API call, and its outcome. */

import type { Call, Heard, Sent, Told } from "./agent-probe.ts";
import { type Program, type Started, start } from "./process.ts";

/** An API call that is held until `goOn`. */
export type Held = Call & {
  readonly goOn: () => void;
  /** Sends the same call with the same token, optionally with changed fields, as an attacker with the token could. */
  readonly repeat: (changed?: object) => Promise<{ status: number; body: string }>;
};

export type Agent = Omit<Started, "line"> & {
  /** All responses received so far. */
  readonly heard: readonly Heard[];
  /** Resolves with the first matching response. Rejects if the agent ends without one. */
  readonly hears: (fits: (heard: Heard) => boolean) => Promise<Heard>;
  /** Resolves when the agent sends its first poll: its request is pending and stored. Rejects if it ends before. */
  readonly polls: () => Promise<void>;
  /** Resolves when the agent is about to call the API, and holds the call. Rejects if the agent ends without a call. */
  readonly atTheDoor: () => Promise<Held>;
  /** The same, but resolves to undefined if the agent ends without a call. */
  readonly comes: () => Promise<Held | undefined>;
  /** Resolves to its printed JSON when it has ended. Rejects if it fails. */
  // biome-ignore lint/suspicious/noExplicitAny: each story's agent has an outcome of its own
  readonly outcome: () => Promise<any>;
};

const tap = new URL("agent-probe.ts", import.meta.url);

/** Starts an agent. With `door`, the URL of an API, calls to that API are held. */
export function startAgent(
  program: Program,
  door?: string,
  listen: (heard: Heard) => void = () => {},
): Agent {
  const { file } = program;
  const env = { ...program.env, ...(door !== undefined && { STAGE_DOOR: door }) };
  const { line, ...started } = start({ ...program, env, preload: tap });
  const { child, lines, ended, complaints } = started;
  const heard: Heard[] = [];
  const sent: Sent[] = [];
  const listeners = new Set<() => void>();
  let held: Held | undefined;
  child.on("message", (told: Told) => {
    if ("call" in told) held = { ...told.call, goOn: () => child.send("go on"), repeat: repeat(told.call) };
    else if ("sends" in told) sent.push(told.sends);
    else {
      heard.push(told.heard);
      listen(told.heard);
    }
    for (const listener of listeners) listener();
  });

  function when<T>(look: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const check = () => {
        const found = look();
        if (found === undefined) return;
        listeners.delete(check);
        resolve(found);
      };
      listeners.add(check);
      check();
      ended.then(
        (how) =>
          reject(new Error(`${file.pathname} ended (${how}) first\n${lines.join("\n")}\n${complaints()}`)),
        reject,
      );
    });
  }

  return {
    ...started,
    heard,
    hears: (fits) => when(() => heard.find(fits)),
    polls: () => when(() => sent.some(({ url }) => url.endsWith("/oauth/token")) || undefined).then(() => {}),
    atTheDoor: () => when(() => held),
    comes: () =>
      when(() => held).catch(async (error) => {
        if ((await ended) !== 0) throw error;
        return undefined;
      }),
    outcome: async () => {
      const how = await ended;
      if (how !== 0) throw new Error(`${file.pathname} ended with ${how}\n${complaints()}`);
      return JSON.parse(lines.at(-1) ?? "");
    },
  };
}

function repeat({ method, url, authorization, body }: Call): Held["repeat"] {
  return async (changed = {}) => {
    const response = await fetch(url, {
      method,
      headers: { authorization, "content-type": "application/json" },
      body: JSON.stringify({ ...JSON.parse(body), ...changed }),
    });
    return { status: response.status, body: await response.text() };
  };
}
