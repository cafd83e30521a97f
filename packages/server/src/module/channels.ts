/** Opens the configured channels, delivers messages through them, and updates messages whose request has ended. */
import { closeChannels, openChannels } from "../channel/registry.ts";
import { deliver } from "../job/deliver-message.ts";
import { scheduleMissedUpdates, watchForUpdates } from "../job/schedule-updates.ts";
import type { ServerModule } from "./module.ts";

export const channelModule: ServerModule = {
  name: "channels",
  async open({ settings, store, metrics, onFault, print }) {
    const opened = await openChannels(settings.channels, {
      issuer: settings.issuer,
      now: () => store.now(),
      print: print ?? ((line) => void process.stdout.write(`${line}\n`)),
    });
    const channels = new Map(
      [...opened].map(
        ([name, channel]) => [name, metrics?.instrumentChannel(name, channel) ?? channel] as const,
      ),
    );
    const canUpdate = [...channels.values()].some(({ update }) => update !== undefined);
    const unwatch = canUpdate ? watchForUpdates(store, onFault) : undefined;
    return {
      routes: [...channels.values()].flatMap(({ routes = [] }) =>
        routes.map((route) => ({ ...route, access: "webhook" }) as const),
      ),
      jobs: [
        ...(canUpdate
          ? [{ name: "updates", when: { everyMs: 60_000 }, work: () => scheduleMissedUpdates(store) }]
          : []),
        { name: "deliver", when: ["message"], work: () => deliver({ store, channels }) },
      ],
      close: async () => {
        unwatch?.();
        await closeChannels(opened);
      },
    };
  },
};
