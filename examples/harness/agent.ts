/** An agent's process, seen from outside: what it hears, what it is about to do, and what became of it. */

import type { Call, Heard, Sent, Told } from "./agent-probe.ts";
import { type Program, type Started, start } from "./process.ts";

/** A call that the agent is held at, until it may go on. */
export type Held = Call & {
  readonly goOn: () => void;
  /** Makes the same call with the same token, as whoever holds both could, with some fields of its body changed. */
  readonly repeat: (changed?: object) => Promise<{ status: number; body: string }>;
};

export type Agent = Omit<Started, "line"> & {
  /** Every answer that reached it so far. */
  readonly heard: readonly Heard[];
  /** Resolves when an answer has reached it that fits. Rejects if it ends without one. */
  readonly hears: (fits: (heard: Heard) => boolean) => Promise<Heard>;
  /** Resolves when the agent sends its first poll: its request is pending and stored. Rejects if it ends before. */
  readonly polls: () => Promise<void>;
  /** Resolves when the agent, its token in hand, stands at the API's door. It waits there. Rejects if it never comes. */
  readonly atTheDoor: () => Promise<Held>;
  /** The same, or undefined if it ended without a call to make. */
  readonly comes: () => Promise<Held | undefined>;
  /** What it prints when it has ended, as JSON. Rejects if it fails. */
  // biome-ignore lint/suspicious/noExplicitAny: each story's agent has an outcome of its own
  readonly outcome: () => Promise<any>;
};

const tap = new URL("agent-probe.ts", import.meta.url);

/** `door` is the URL of the API at which the agent is held; without it, it is only listened to. */
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
