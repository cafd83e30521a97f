/**
 * Formats values for people: American English, UTC, never rounded and never truncated, so that different values are
 * displayed differently. Each value has one spelling: others are refused, so that the same value always has the same digest
 * and the same denial key. Refuses what cannot be displayed so.
 */
import type { Json } from "@countersign/protocol";
import type { Row } from "./action-type.ts";
import { quote } from "./quotation.ts";

export type FormatRefusal =
  | "wrong_type"
  | "not_a_decimal"
  | "unknown_currency"
  | "not_a_duration"
  | "not_a_time";
/** `not_canonical`: the value has another spelling, which is to be used. */
export type FormatRefused =
  | { readonly refused: FormatRefusal }
  | { readonly refused: "not_canonical"; readonly spelling: string };

/** Formats the value as its row declares. `currency` is the value of the row's currency field. */
export function formatValue(
  row: Pick<Row, "as" | "unit">,
  value: Json,
  currency?: Json,
): string | FormatRefused {
  const text = typeof value === "string" ? value : undefined;
  const integer = typeof value === "number" && Number.isSafeInteger(value) ? value : undefined;
  switch (row.as) {
    case "text":
      return formatText(value);
    case "list":
      return formatList(value);
    case "money":
      if (text === undefined || typeof currency !== "string") return { refused: "wrong_type" };
      return formatMoney(text, currency);
    case "money-minor":
      if (integer === undefined || typeof currency !== "string") return { refused: "wrong_type" };
      return formatMinorMoney(integer, currency);
    case "quantity":
      value = text ?? integer ?? null;
      return value === null ? { refused: "wrong_type" } : formatQuantity(value, row.unit);
    case "duration":
      return integer === undefined ? { refused: "wrong_type" } : formatDuration(integer);
    case "time":
      if (text !== undefined) return formatTime(text);
      return integer === undefined ? { refused: "wrong_type" } : formatEpochSeconds(integer);
  }
}

/** A string unchanged; an integer without grouping, as it may be an identifier; a boolean as yes or no. */
export function formatText(value: Json): string | FormatRefused {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return value ? "yes" : "no";
  return Number.isSafeInteger(value) ? String(value) : { refused: "wrong_type" };
}

/** `“a”, “b”`; "none" for an empty list. */
export function formatList(value: Json): string | FormatRefused {
  if (!Array.isArray(value)) return { refused: "wrong_type" };
  const formatted: string[] = [];
  for (const item of value) {
    const text = formatText(item);
    if (typeof text !== "string") return text;
    formatted.push(typeof item === "string" ? quote(text) : text);
  }
  return formatted.length === 0 ? "none" : formatted.join(", ");
}

/**
 * Formats a decimal string with an ISO 4217 code: "10000.00" and "USD" are $10,000.00. The amount has the minor digits of its
 * currency, or more if the last one is not zero.
 */
export function formatMoney(amount: string, currency: string): string | FormatRefused {
  if (!decimalPattern.test(amount)) return { refused: "not_a_decimal" };
  if (!currencies.has(currency)) return { refused: "unknown_currency" };
  const spelling = spellDecimal(amount, getMinorDigits(currency));
  if (spelling !== amount) return { refused: "not_canonical", spelling };
  return showMoney(amount, countDecimals(amount), currency);
}

/** Formats an integer of minor units: 1000000 and "USD" are $10,000.00. */
export function formatMinorMoney(amount: number, currency: string): string | FormatRefused {
  if (!currencies.has(currency)) return { refused: "unknown_currency" };
  const digits = getMinorDigits(currency);
  const sign = amount < 0 ? "-" : "";
  const padded = String(Math.abs(amount)).padStart(digits + 1, "0");
  const whole = padded.slice(0, padded.length - digits);
  return showMoney(`${sign}${whole}${digits === 0 ? "" : `.${padded.slice(-digits)}`}`, digits, currency);
}

/**
 * Formats a decimal or an integer with grouped thousands and the operator's unit: "1,250.5 kg". A decimal has no trailing zeros
 * after the point.
 */
export function formatQuantity(amount: string | number, unit?: string): string | FormatRefused {
  if (typeof amount === "string") {
    if (!decimalPattern.test(amount)) return { refused: "not_a_decimal" };
    const spelling = spellDecimal(amount, 0);
    if (spelling !== amount) return { refused: "not_canonical", spelling };
  }
  const digits = typeof amount === "number" ? 0 : countDecimals(amount);
  const format = new Intl.NumberFormat("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  const formatted = format.format(String(amount) as `${number}`);
  return unit === undefined ? formatted : `${formatted} ${unit}`;
}

/** Formats seconds as days of 24 hours, hours, minutes and seconds: 5400 is "1 hour 30 minutes". */
export function formatDuration(seconds: number): string | FormatRefused {
  if (!Number.isSafeInteger(seconds) || seconds < 0) return { refused: "not_a_duration" };
  const counts = [
    [Math.floor(seconds / 86_400), "day"],
    [Math.floor(seconds / 3600) % 24, "hour"],
    [Math.floor(seconds / 60) % 60, "minute"],
    [seconds % 60, "second"],
  ] as const;
  const nonZero = counts.filter(([count]) => count > 0);
  const words = nonZero.map(
    ([count, unit]) => `${count.toLocaleString("en-US")} ${unit}${count === 1 ? "" : "s"}`,
  );
  return words.length === 0 ? "0 seconds" : words.join(" ");
}

const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const months = [
  ...["January", "February", "March", "April", "May", "June", "July"],
  ...["August", "September", "October", "November", "December"],
];

/**
 * Formats RFC 3339: "Sunday 22 November 2026, 14:00 UTC", with seconds if not zero. The time is in UTC, ends with Z, and has
 * a fraction only if that is not zero, without trailing zeros.
 */
export function formatTime(time: string): string | FormatRefused {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))$/.exec(
    time,
  );
  if (!match) return { refused: "not_a_time" };
  const [, local = "", fraction = "", sign, hours, minutes] = match;
  const date = new Date(`${local}Z`);
  // `Date` carries a day or second that does not exist over into the next, or is invalid.
  if (Number.isNaN(date.getTime()) || date.toISOString().slice(0, 19) !== local)
    return { refused: "not_a_time" };
  const offset = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * (sign === "-" ? -60 : 60);
  const seconds = date.getTime() / 1000 - offset;
  const formatted = formatEpochSeconds(seconds, fraction);
  if (typeof formatted !== "string") return formatted;
  const spelling = `${new Date(seconds * 1000).toISOString().slice(0, 19)}${fraction.replace(/\.?0+$/, "")}Z`;
  return spelling === time ? formatted : { refused: "not_canonical", spelling };
}

/** Formats integer seconds since the epoch as `formatTime` does. */
export function formatEpochSeconds(
  seconds: number,
  fraction = "",
): string | { readonly refused: "not_a_time" } {
  const date = new Date(seconds * 1000);
  const year = date.getUTCFullYear();
  if (!Number.isSafeInteger(seconds) || !(year >= 0 && year <= 9999)) return { refused: "not_a_time" };
  const iso = date.toISOString();
  const clock =
    iso.slice(17, 19) === "00" && fraction === "" ? iso.slice(11, 16) : iso.slice(11, 19) + fraction;
  const day = `${days[date.getUTCDay()]} ${date.getUTCDate()} ${months[date.getUTCMonth()]}`;
  return `${day} ${iso.slice(0, 4)}, ${clock} UTC`;
}

/** A plain decimal. 15 digits and 8 decimals are exact in every step. */
const decimalPattern = /^-?(?:0|[1-9]\d{0,14})(?:\.\d{1,8})?$/;

function countDecimals(amount: string): number {
  return amount.split(".")[1]?.length ?? 0;
}

/** Returns the one spelling of a plain decimal: at least `minDecimals`, no trailing zeros beyond them, no negative zero. */
function spellDecimal(amount: string, minDecimals: number): string {
  const [whole = "", decimals = ""] = amount.split(".");
  const spelled = decimals.replace(/0+$/, "").padEnd(minDecimals, "0");
  const text = spelled === "" ? whole : `${whole}.${spelled}`;
  return /[1-9]/.test(text) ? text : text.replace("-", "");
}

/** ISO 4217 codes of funds and units of account, which `Intl` does not list. It formats them by their code. */
const unlistedCurrencies = "BOV CHE CHW CLF COU MXV USN UYI UYW VED".split(" ");
export const currencies: ReadonlySet<string> = new Set([
  ...Intl.supportedValuesOf("currency"),
  ...unlistedCurrencies,
]);

/** ISO 4217 minor units other than two. `Intl` follows CLDR, which differs for a dozen currencies. */
const minorDigitExceptions: { readonly [digits: string]: readonly string[] } = {
  0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(" "),
  3: "BHD IQD JOD KWD LYD OMR TND".split(" "),
  4: ["CLF", "UYW"],
};

function getMinorDigits(currency: string): number {
  const unusual = Object.entries(minorDigitExceptions).find(([, codes]) => codes.includes(currency));
  return unusual ? Number(unusual[0]) : 2;
}

/** `Intl` parses the text itself, so that nothing is rounded. */
function showMoney(amount: string, digits: number, currency: string): string {
  const format = getMoneyFormat(currency, digits);
  // Replace no-break spaces: nothing on a card is invisible.
  return format.format(amount as `${number}`).replaceAll(/[\u00A0\u202F]/g, " ");
}

/** Cached: creating a formatter costs more than the rest of a card. One for each currency and number of digits. */
const moneyFormats = new Map<string, Intl.NumberFormat>();

function getMoneyFormat(currency: string, digits: number): Intl.NumberFormat {
  const key = `${currency} ${digits}`;
  let format = moneyFormats.get(key);
  if (!format) {
    const fraction = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    format = new Intl.NumberFormat("en-US", { style: "currency", currency, ...fraction });
    moneyFormats.set(key, format);
  }
  return format;
}
