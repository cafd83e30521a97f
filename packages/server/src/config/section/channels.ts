import type { z } from "zod";
import { channelSections, type SettingsByChannel } from "../../channel/sections.ts";
import type { ChannelSection } from "../channel-section.ts";
import { defineObject } from "../field.ts";
import { defineSection } from "../section.ts";

export type ChannelSettings = {
  /** The configured channels, by name. */
  readonly channels: Partial<SettingsByChannel>;
};

const entries: readonly (readonly [string, ChannelSection<unknown, object>])[] = Object.entries(
  channelSections as never,
);
const schemas = Object.fromEntries(entries.map(([name, { schema }]) => [name, schema.optional()] as const));

export const channelsSection = defineSection({
  shape: { channels: defineObject<{ readonly [name: string]: z.ZodType }>(schemas).prefault({}) },
  read({ channels }, { addProblem, resolvePath }): ChannelSettings {
    const configured = entries.flatMap(([name, section]) => {
      if (channels[name] === undefined) return [];
      const settings = section.read(channels[name], {
        resolvePath,
        addProblem: (problem) => addProblem({ ...problem, path: ["channels", name, ...problem.path] }),
      });
      return [[name, settings] as const];
    });
    return { channels: Object.fromEntries(configured) };
  },
  sample: () => `# How approvers are notified. A password belongs in a separate file: password_file.
# channels:
${entries.flatMap(([, { sample }]) => (sample === undefined ? [] : `#   ${sample}\n`)).join("")}`,
});
