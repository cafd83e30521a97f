/**
 * Action types: what an operator declares about an action (`build.ts`, checked by `declaration.ts` and `schema.ts`), how
 * an agent's `authorization_details` become the parts of one action (`parse-details.ts`, `combination.ts`), and the card
 * that the approver sees (`card.ts`, `format.ts`, `quotation.ts`). Pure values and functions. Input is never repaired, an
 * agent's text is never displayed as the server's, and nothing here decides who may approve.
 */
import type { AuthenticationLevel, JsonObject, Reversibility } from "@countersign/protocol";
import type { FieldFault } from "./schema.ts";

/** Formats of values on cards; see `format.ts`. */
export const formats = ["text", "money", "money-minor", "quantity", "duration", "time", "list"] as const;
export type Format = (typeof formats)[number];

/** Scopes with a standard meaning, which cannot be names of actions (OpenID Connect Core §5.4, §11). */
export const standardScopes: readonly string[] = [
  "openid",
  "profile",
  "email",
  "address",
  "phone",
  "offline_access",
];

/** One labelled value of the card. `currency` names the bound field that contains the ISO 4217 code. */
export type Row = {
  readonly label: string;
  readonly field: string;
  readonly as: Format;
  readonly currency?: string;
  readonly unit?: string;
};

/**
 * The approvers of an action type. If `owner` has an entry for the value of its field, only that owner may approve;
 * otherwise people and groups may. An owner is an e-mail address or the name of a group (without `@`).
 */
export type ApproverPolicy = {
  readonly people: readonly string[];
  readonly groups: readonly string[];
  readonly owner?: { readonly field: string; readonly of: { readonly [value: string]: string } };
};

/** The published part of an action type. Its hash covers all members and is part of every digest. */
export type ActionType = {
  readonly type: string;
  readonly schema: JsonObject;
  readonly bound: readonly string[];
  readonly advisory: readonly string[];
  readonly denyBy: readonly string[];
  readonly sentence: string;
  readonly rows: readonly Row[];
  readonly reversibility: Reversibility;
  readonly audience: string;
  readonly level: AuthenticationLevel;
};

/** An action type with the operator's policy for it, which is neither published nor hashed. */
export type ActionPolicy = {
  readonly definition: ActionType;
  /** SHA-256 of the canonical definition, base64url. */
  readonly hash: string;
  readonly approvers: ApproverPolicy;
  readonly lifetimeSeconds: { readonly default: number; readonly max: number };
  readonly tokenLifetimeSeconds: number;
  /**
   * Types that may be in one request with this type, possibly itself. Each must name this type too: see `combination.ts`.
   */
  readonly combinableWith: readonly string[];
  /** Returns the first fault in the fields of a detail (without `type`), or undefined. */
  readonly validate: (fields: unknown) => FieldFault | undefined;
  /** Set if the action is a bare scope: it has no fields, and a fixed sentence. */
  readonly scope?: string;
};
