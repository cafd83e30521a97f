/** Listens to one notification channel on a separate connection, and reconnects when it is lost. */
import { setTimeout as later } from "node:timers/promises";
import { type Connection, type OnConnection, openConnection, responseTimeoutMs } from "./connection.ts";

const minDelayMs = 50;
const maxDelayMs = 2_000;

/**
 * Calls `onListening` each time listening starts or restarts. Rejects with the error of the driver if the first
 * connection fails.
 */
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
    // A connection lost before it listens is reported by `open` itself.
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
        // Not available yet. Until then, watchers are notified by polling.
      }
    }
  }

  await open();
  // The connection is otherwise idle: a query detects a silent loss.
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
