import { defineChannelSection } from "../../config/channel-section.ts";
import { defineObject } from "../../config/field.ts";

/** Has no settings. */
export type LogChannelSettings = { readonly [name: string]: never };

export const logChannelSection = defineChannelSection({
  schema: defineObject({}),
  read: (): LogChannelSettings => ({}),
});
