import { z } from "zod";
import { defineObject } from "../field.ts";
import { defineSection } from "../section.ts";

export type RegistrationSettings = {
  /** Whether agents can register themselves with an initial access token (RFC 7591). */
  readonly registration: { readonly enabled: boolean };
};

export const registrationSection = defineSection({
  shape: {
    registration: defineObject({
      // Registration always requires an initial access token; if false, the endpoint does not exist.
      enabled: z.boolean().default(false),
    }).prefault({}),
  },
  read({ registration }): RegistrationSettings {
    return { registration: { enabled: registration.enabled } };
  },
});
