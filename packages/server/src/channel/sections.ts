/** The configuration of every channel, by the key under `channels:`. `registry.ts` has the module that belongs to each. */
import { logChannelSection } from "./log/section.ts";
import { mailChannelSection } from "./mail/section.ts";

export const channelSections = { mail: mailChannelSection, log: logChannelSection } as const;

export type ChannelName = keyof typeof channelSections;
/** The settings of each channel. */
export type SettingsByChannel = {
  readonly [N in ChannelName]: ReturnType<(typeof channelSections)[N]["read"]>;
};
