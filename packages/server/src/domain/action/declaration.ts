/**
 * Checks an operator's declaration of an action type. Each field is bound or advisory, and everything that an agent can
 * put into a field is displayed.
 */
import {
  type AuthenticationLevel,
  inspectText,
  type JsonObject,
  type Reversibility,
} from "@countersign/protocol";
import type { ApproverPolicy, Format, Row } from "./action-type.ts";
import type { DeclarationProblem, FieldKind, Fields } from "./schema.ts";

export type Declaration = {
  readonly type: string;
  readonly audience: string;
  readonly schema: JsonObject;
  readonly bound: readonly string[];
  readonly advisory?: readonly string[];
  readonly denyBy?: readonly string[];
  /** With fields in braces: "Refund {amount} to {customer}". */
  readonly sentence: string;
  readonly rows: readonly Row[];
  readonly reversibility?: Reversibility;
  readonly approvers: ApproverPolicy;
  readonly level?: AuthenticationLevel;
  readonly lifetimeSeconds?: { readonly default: number; readonly max: number };
  readonly tokenLifetimeSeconds?: number;
  readonly combinableWith?: readonly string[];
  readonly scope?: string;
};

/** Splits a sentence into text and fields in braces. Returns undefined if the braces do not match. */
export function parseSentence(sentence: string): readonly SentencePart[] | undefined {
  const tokens = sentence.split(/(\{[^{}]*\})/).filter((token) => token !== "");
  const parts = tokens.map((token): SentencePart => {
    const field = /^\{(.*)\}$/.exec(token)?.[1];
    return field === undefined ? { text: token } : { field };
  });
  return parts.some((part) => "text" in part && /[{}]/.test(part.text)) ? undefined : parts;
}
export type SentencePart = { readonly text: string } | { readonly field: string };

type ResolvedDeclaration = Declaration &
  Required<Pick<Declaration, "advisory" | "denyBy" | "lifetimeSeconds" | "tokenLifetimeSeconds">>;
type AddProblem = (path: DeclarationProblem["path"], message: string, remedy: string) => void;

/** Returns every problem of a declaration. */
export function checkDeclaration(declaration: ResolvedDeclaration, fields: Fields): DeclarationProblem[] {
  const problems: DeclarationProblem[] = [];
  const addProblem: AddProblem = (path, message, remedy) => problems.push({ path, message, remedy });
  checkLists(declaration, fields, addProblem);
  for (const [i, row] of declaration.rows.entries()) checkRow(row, i, declaration, fields, addProblem);
  checkDisplayed(declaration, fields, addProblem);
  checkSentence(declaration, fields, addProblem);
  checkApprovers(declaration, fields, addProblem);
  checkLifetimes(declaration, addProblem);
  return problems;
}

/** Checks that each field is bound or advisory, once. */
function checkLists(
  { bound, advisory, denyBy }: ResolvedDeclaration,
  { kinds, required }: Fields,
  addProblem: AddProblem,
): void {
  const lists: [string, readonly string[]][] = [
    ["bound", bound],
    ["advisory", advisory],
  ];
  // Without `deny_by` the bound list is used, which is checked separately.
  if (denyBy !== bound) lists.push(["deny_by", denyBy]);
  for (const [list, names] of lists)
    for (const [i, name] of names.entries()) {
      const path = [list, i];
      if (!kinds.has(name)) addProblem(path, `no field is called ${name}`, listFields(kinds));
      else if (names.indexOf(name) < i) addProblem(path, `${name} is listed twice`, "remove one");
      else if (list === "deny_by" && !bound.includes(name))
        addProblem(
          path,
          `${name} is not bound`,
          "deny_by needs bound fields: list it under bound, or remove it here",
        );
      else if (list === "deny_by" && !required.has(name))
        addProblem(
          path,
          `${name} may be left out`,
          "an agent could omit it to avoid a denial: add it to required in the schema, or remove it here",
        );
    }
  for (const name of kinds.keys()) {
    const path = ["schema", "properties", name];
    if (bound.includes(name) && advisory.includes(name))
      addProblem(path, `${name} is both bound and advisory`, "list it under one of the two");
    if (!bound.includes(name) && !advisory.includes(name))
      addProblem(
        path,
        `${name} is neither bound nor advisory`,
        "list it under bound, or under advisory if it decides nothing",
      );
  }
}

const compatibleFormats: { readonly [format in Format]: readonly FieldKind[] } = {
  text: ["string", "integer", "boolean"],
  money: ["string"],
  "money-minor": ["integer"],
  quantity: ["integer", "string"],
  duration: ["integer"],
  time: ["string", "integer"],
  list: ["list"],
};

function checkRow(
  row: Row,
  i: number,
  { rows, bound }: ResolvedDeclaration,
  { kinds, required }: Fields,
  addProblem: AddProblem,
): void {
  const path = ["display", "rows", i];
  checkText(row.label, [...path, "label"], 60, addProblem);
  const kind = kinds.get(row.field);
  if (kind === undefined) {
    addProblem([...path, "field"], `no field is called ${row.field}`, listFields(kinds));
    return;
  }
  if (rows.findIndex((other) => other.field === row.field) < i)
    addProblem([...path, "field"], `${row.field} already has a row`, "remove one");
  if (!compatibleFormats[row.as].includes(kind)) {
    const compatible = Object.entries(compatibleFormats).filter(([, accepted]) => accepted.includes(kind));
    const article = kind === "integer" ? "an" : "a";
    const remedy = `${article} ${kind} can be shown as ${compatible.map(([format]) => format).join(", ")}`;
    addProblem(
      [...path, "as"],
      `${row.field} is ${article} ${kind}, which cannot be shown as ${row.as}`,
      remedy,
    );
  }
  if (row.unit !== undefined) {
    checkText(row.unit, [...path, "unit"], 40, addProblem);
    if (row.as !== "quantity")
      addProblem([...path, "unit"], "only a quantity has a unit", "remove it, or show it as quantity");
  }
  const isMoney = row.as === "money" || row.as === "money-minor";
  if (!isMoney && row.currency !== undefined)
    addProblem([...path, "currency"], "only money has a currency", "remove it, or show the field as money");
  if (!isMoney) return;
  const { currency } = row;
  if (currency === undefined)
    addProblem(
      path,
      "money without a currency",
      "add currency: with the bound field that holds the ISO 4217 code",
    );
  else if (!bound.includes(currency) || kinds.get(currency) !== "string" || !required.has(currency))
    addProblem(
      [...path, "currency"],
      `${currency} is not a bound, required text field`,
      "name one that is, to hold the ISO 4217 code",
    );
}

/** Checks that every field is displayed: a bound one as a fact, an advisory one as a quotation. */
function checkDisplayed(
  { bound, advisory, rows }: ResolvedDeclaration,
  { kinds, required }: Fields,
  addProblem: AddProblem,
): void {
  const displayed = new Set(rows.map((row) => row.field));
  // A currency is displayed with its amount, so the amount must always be present.
  const displayedAsCurrency = new Set(
    rows
      .filter((row) => required.has(row.field) && bound.includes(row.field))
      .flatMap((row) => row.currency ?? []),
  );
  for (const [i, name] of bound.entries())
    if (kinds.has(name) && !displayed.has(name) && !displayedAsCurrency.has(name))
      addProblem(
        ["bound", i],
        `the bound field ${name} is not displayed`,
        "give it a row under display, or make it the currency of a required, bound amount: approvers must see every bound field",
      );
  for (const [i, name] of advisory.entries())
    if (kinds.has(name) && !displayed.has(name))
      addProblem(
        ["advisory", i],
        `the advisory field ${name} is not displayed`,
        "give it a row with a label under display",
      );
}

function checkSentence(
  { sentence, rows, bound, scope }: ResolvedDeclaration,
  { required }: Fields,
  addProblem: AddProblem,
): void {
  const path = scope === undefined ? ["display", "sentence"] : ["sentence"];
  checkText(sentence, path, 200, addProblem);
  const parts = parseSentence(sentence);
  if (!parts) addProblem(path, "the braces of this sentence do not match", "write each field as {field}");
  for (const part of parts ?? []) {
    if (!("field" in part)) continue;
    const name = part.field;
    if (scope !== undefined)
      addProblem(
        path,
        `a scope has no fields, so {${name}} has no value`,
        "write the sentence without braces",
      );
    else if (!bound.includes(name))
      addProblem(
        path,
        `{${name}} is not a bound field`,
        "the sentence is the server's: use bound fields only",
      );
    else if (!rows.some((row) => row.field === name))
      addProblem(path, `{${name}} has no row`, `add a row for ${name} under display`);
    else if (!required.has(name))
      addProblem(
        path,
        `{${name}} is optional, so the sentence can have a gap`,
        "list it as required in the schema",
      );
  }
}

function checkApprovers(
  { approvers, bound }: ResolvedDeclaration,
  { kinds }: Fields,
  addProblem: AddProblem,
): void {
  const { people, groups, owner } = approvers;
  if (people.length === 0 && groups.length === 0 && owner === undefined)
    addProblem(
      ["approvers"],
      "no approvers are configured for this action",
      "name people, groups, or an owner",
    );
  if (owner === undefined) return;
  if (!bound.includes(owner.field) || kinds.get(owner.field) !== "string")
    addProblem(
      ["approvers", "owner", "field"],
      `${owner.field} is not a bound text field`,
      "an owner is looked up by a bound field of type string, or the agent would choose who approves",
    );
  if (Object.keys(owner.of).length === 0)
    addProblem(["approvers", "owner", "of"], "no value has an owner", "write value: e-mail address or group");
}

function checkLifetimes(
  { lifetimeSeconds, tokenLifetimeSeconds }: ResolvedDeclaration,
  addProblem: AddProblem,
): void {
  const { default: defaultSeconds, max } = lifetimeSeconds;
  // Lifetimes are whole seconds. Below ten the card cannot be read; beyond a week the context is forgotten.
  for (const [name, seconds] of Object.entries(lifetimeSeconds))
    if (!Number.isInteger(seconds) || seconds < 10 || seconds > 604_800)
      addProblem(
        ["lifetime", name],
        "invalid lifetime of a request",
        "use whole seconds from 10 to 604800 (a week)",
      );
  if (defaultSeconds > max)
    addProblem(
      ["lifetime", "default"],
      `the default of ${defaultSeconds} s is beyond the maximum of ${max} s`,
      "raise max or lower default",
    );
  if (!Number.isInteger(tokenLifetimeSeconds) || tokenLifetimeSeconds < 1 || tokenLifetimeSeconds > 300)
    addProblem(
      ["token_lifetime"],
      "invalid lifetime of a token",
      "use whole seconds from 1 to 300: a token is for a call that is ready to be made",
    );
}

function checkText(
  text: string,
  path: DeclarationProblem["path"],
  maxCodePoints: number,
  addProblem: AddProblem,
): void {
  const fault = text === "" ? "empty" : inspectText(text, { maxCodePoints });
  if (fault !== undefined)
    addProblem(
      path,
      `this cannot be displayed on a card: it ${fault === "empty" ? "is empty" : textFaults[fault]}`,
      `write one line of at most ${maxCodePoints} visible characters`,
    );
}

/** Describes what `inspectText` found, in words that fit after "it" or a colon. */
export const textFaults = {
  not_nfc: "is not in Unicode normalization form C",
  invisible: "contains an invisible or control character",
  padding: "begins or ends with a space, or has two in a row",
  stacked_marks: "stacks too many marks on one character",
  too_long: "is too long",
} as const;

function listFields(kinds: ReadonlyMap<string, FieldKind>): string {
  return `the schema's fields are: ${[...kinds.keys()].join(", ") || "none"}`;
}
