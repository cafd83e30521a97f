/** Sessions record how the approver signed in: with a passkey, until now the only method. */
import type { Migration } from "./definition.ts";

export const recordAuthentication: Migration = {
  number: 4,
  summary: "sessions record sign-in method, amr and acr",
  sql: () => "",
  bodies: {
    session: (session) => ({
      ...session,
      method: "passkey",
      amr: ["pop", "user", "mfa"],
      acr: "urn:countersign:acr:passkey",
    }),
  },
};
