/** Listening to one channel of notifications, on a connection of its own: one that is lost is followed by another. */
import { setTimeout as later } from "node:timers/promises";
import { type Link, type OnConnection, openLink, silenceMs } from "./link.ts";

const soonestMs = 50;
const latestMs = 2_000;

/** Calls `opened` each time that it listens. Rejects with the driver's error if the first connection is not to be had. */
export async function listenOn(
  url: string,
  channel: string,
  heard: (payload: string) => void,
  opened: () => void,
  onConnection?: OnConnection,
): Promise<{ readonly stop: () => Promise<void> }> {
  let stopped = false;
  let link: Link | undefined;

  async function open(): Promise<void> {
    let fresh: Link | undefined;
    // One that is lost before it listens says so to whoever opens it, who goes on by themselves.
    const onLost = () => void (fresh && fresh === link && again());
    fresh = await openLink({ url, onLost, onNotification: heard, onConnection });
    try {
      await fresh.script(`LISTEN "${channel}"`);
      if (stopped) return await fresh.drop();
    } catch (error) {
      await fresh.drop();
      throw error;
    }
    link = fresh;
    opened();
  }

  async function again(): Promise<void> {
    link = undefined;
    for (let delayMs = soonestMs; !stopped; delayMs = Math.min(2 * delayMs, latestMs)) {
      await later(delayMs, undefined, { ref: false });
      if (stopped) return;
      try {
        return await open();
      } catch {
        // Not there yet. Until it is, the safety poll tells those who wait.
      }
    }
  }

  await open();
  // Nothing else is ever said on this connection: one that is gone without a word is noticed by asking.
  const pulse = setInterval(() => void link?.script("SELECT 1").catch(() => {}), silenceMs).unref();
  return {
    stop: async () => {
      stopped = true;
      clearInterval(pulse);
      await link?.drop();
    },
  };
}
