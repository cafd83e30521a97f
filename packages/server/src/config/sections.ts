/**
 * The sections of `countersign.yaml`, in the order in which `countersign init` writes them. `Settings` and `Policy` are derived
 * from this list.
 */

import { actionsSection } from "./section/actions.ts";
import { agentsSection } from "./section/agents.ts";
import { apisSection } from "./section/apis.ts";
import { channelsSection } from "./section/channels.ts";
import { dpopSection } from "./section/dpop.ts";
import { groupsSection } from "./section/groups.ts";
import { issuerSection } from "./section/issuer.ts";
import { limitsSection } from "./section/limits.ts";
import { listenSection } from "./section/listen.ts";
import { logSection } from "./section/log.ts";
import { loggingSection } from "./section/logging.ts";
import { loginHintIssuersSection } from "./section/login-hint-issuers.ts";
import { metricsSection } from "./section/metrics.ts";
import { outboundSection } from "./section/outbound.ts";
import { passkeysSection } from "./section/passkeys.ts";
import { permissionSection } from "./section/permission.ts";
import { registrationSection } from "./section/registration.ts";
import { storeSection } from "./section/store.ts";
import { userCodesSection } from "./section/user-codes.ts";
import type { SettingsOf } from "./section.ts";

export const sections = [
  issuerSection,
  listenSection,
  storeSection,
  passkeysSection,
  logSection,
  groupsSection,
  apisSection,
  channelsSection,
  limitsSection,
  loggingSection,
  metricsSection,
  outboundSection,
  dpopSection,
  userCodesSection,
  loginHintIssuersSection,
  registrationSection,
  actionsSection,
  permissionSection,
  agentsSection,
] as const;

type AnySection = (typeof sections)[number];
/** Intersects the members of a union. */
type Merge<U> = (U extends unknown ? (member: U) => void : never) extends (merged: infer I) => void
  ? I
  : never;

/** Fixed until the server restarts. */
export type Settings = Merge<SettingsOf<Exclude<AnySection, { readonly reloadable: true }>>>;
/** Replaced as a whole when the server reloads the file. */
export type Policy = Merge<SettingsOf<Extract<AnySection, { readonly reloadable: true }>>>;
