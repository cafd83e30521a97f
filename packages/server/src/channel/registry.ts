/**
 * The channels. To add one: a directory with its section and its module, a line in `sections.ts` and one here. Modules are
 * imported when they are configured, because libraries for mail and chat take most of the time that a start takes.
 */
import type { ChannelDeps, OpenChannel } from "./channel.ts";
import { type ChannelName, channelSections, type SettingsByChannel } from "./sections.ts";

export type ChannelModule<S> = { readonly open: (settings: S, deps: ChannelDeps) => Promise<OpenChannel> };

const modules: { readonly [N in ChannelName]: ChannelModule<SettingsByChannel[N]> } = {
  mail: { open: async (...options) => (await import("./mail/mail.ts")).openMailChannel(...options) },
  log: { open: async (...options) => (await import("./log/log.ts")).openLogChannel(...options) },
};

const names = Object.keys(channelSections) as ChannelName[];

/** Opens the configured channels. Rejects if one cannot be opened; those before it are closed. */
export async function openChannels(
  settings: Partial<SettingsByChannel>,
  deps: ChannelDeps,
): Promise<ReadonlyMap<string, OpenChannel>> {
  const channels = new Map<string, OpenChannel>();
  try {
    for (const name of names) {
      const section = settings[name];
      if (section)
        channels.set(name, await (modules[name] as ChannelModule<typeof section>).open(section, deps));
    }
    return channels;
  } catch (error) {
    await closeChannels(channels);
    throw error;
  }
}

export async function closeChannels(channels: ReadonlyMap<string, OpenChannel>): Promise<void> {
  for (const channel of channels.values()) await channel.close();
}
