/** Listening to one channel of notifications, on a connection of its own: one that is lost is followed by another. */
import { setTimeout as later } from "node:timers/promises";
import { type Connection, type OnConnection, openConnection, responseTimeoutMs } from "./connection.ts";

const minDelayMs = 50;
const maxDelayMs = 2_000;

/** Calls `opened` each time that it listens. Rejects with the driver's error if the first connection is not to be had. */
export async function listen(
  url: string,
  channel: string,
  onPayload: (payload: string) => void,
  onListening: () => void,
  onConnection?: OnConnection,
): Promise<{ readonly stop: () => Promise<void> }> {
  let stopped = false;
  let current: Connection | undefined;

  async function open(): Promise<void> {
    let connection: Connection | undefined;
    // One that is lost before it listens says so to whoever opens it, who goes on by themselves.
    const onLost = () => void (connection && connection === current && reconnect());
    connection = await openConnection({ url, onLost, onNotification: onPayload, onConnection });
    try {
      await connection.script(`LISTEN "${channel}"`);
      if (stopped) return await connection.destroy();
    } catch (error) {
      await connection.destroy();
      throw error;
    }
    current = connection;
    onListening();
  }

  async function reconnect(): Promise<void> {
    current = undefined;
    for (let delayMs = minDelayMs; !stopped; delayMs = Math.min(2 * delayMs, maxDelayMs)) {
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
  const keepalive = setInterval(
    () => void current?.script("SELECT 1").catch(() => {}),
    responseTimeoutMs,
  ).unref();
  return {
    stop: async () => {
      stopped = true;
      clearInterval(keepalive);
      await current?.destroy();
    },
  };
}
