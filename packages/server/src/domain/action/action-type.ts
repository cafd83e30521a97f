/**
 * The action: what would be done, read strictly, shown whole, and described by the server. This directory holds what an
 * operator declares about an action type (`definition.ts`, built by `build.ts`, checked by `declaration.ts` and `schema.ts`), how an agent's
 * `authorization_details` become the parts of one action (`read.ts`, `together.ts`), and the card on which a person sees it (`card.ts`,
 * `format.ts`, `quotation.ts`). Everything here is a pure value or a pure function. It never repairs what an agent
 * sent, never lets an agent's words become the server's, and never decides who may approve.
 */
import type { AuthenticationLevel, JsonObject, Reversibility } from "@countersign/protocol";
import type { FieldFault } from "./schema.ts";

/** How a value is shown: see `format.ts`. */
export const formats = ["text", "money", "money-minor", "quantity", "duration", "time", "list"] as const;
export type Format = (typeof formats)[number];

/** Scopes with a meaning of their own, which no action can have as its name (OpenID Connect Core §5.4, §11). */
export const standardScopes: readonly string[] = [
  "openid",
  "profile",
  "email",
  "address",
  "phone",
  "offline_access",
];

/** One labelled value of the card. `currency` names the bound field that holds the ISO 4217 code. */
export type Row = {
  readonly label: string;
  readonly field: string;
  readonly as: Format;
  readonly currency?: string;
  readonly unit?: string;
};

/**
 * Who may approve. Where `owner` knows the value of its field, that owner and nobody else; otherwise people and groups.
 * An owner is an e-mail address or the name of a group (which has no `@`).
 */
export type ApproverPolicy = {
  readonly people: readonly string[];
  readonly groups: readonly string[];
  readonly owner?: { readonly field: string; readonly of: { readonly [value: string]: string } };
};

/** An action type as it is published. All of it is hashed, and the hash is part of every digest. */
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

/** An action type with the operator's rules around it, which are neither published nor hashed. */
export type ActionPolicy = {
  readonly definition: ActionType;
  /** base64url SHA-256 of the canonical definition. */
  readonly hash: string;
  readonly approvers: ApproverPolicy;
  readonly lifetimeSeconds: { readonly default: number; readonly max: number };
  readonly tokenLifetimeSeconds: number;
  /** Types, itself perhaps among them, with which it may be one action. They must name it too: see `together.ts`. */
  readonly combinableWith: readonly string[];
  /** The first fault of a detail's fields (`type` left out), or undefined. */
  readonly validate: (fields: unknown) => FieldFault | undefined;
  /** Set where the action is a bare scope: it has no fields, and its sentence is fixed. */
  readonly scope?: string;
};
