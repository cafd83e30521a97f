import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  currencies,
  type FormatRefused,
  formatDuration,
  formatEpochSeconds,
  formatList,
  formatMinorMoney,
  formatMoney,
  formatQuantity,
  formatText,
  formatTime,
  formatValue,
} from "./format.ts";

const amount = fc
  .tuple(
    fc.boolean(),
    fc.bigInt(0n, 999_999_999_999_999n),
    fc.string({ unit: fc.constantFrom(..."0123456789"), maxLength: 8 }),
  )
  .map(
    ([negative, whole, decimals]) => `${negative ? "-" : ""}${whole}${decimals === "" ? "" : `.${decimals}`}`,
  );
/** The canonical spelling of any plain decimal. */
function spell(result: string | FormatRefused, value: string): string {
  return typeof result !== "string" && result.refused === "not_canonical" ? result.spelling : value;
}
const currency = fc.constantFrom(...currencies);

/** Returns the number in a displayed amount, in units of 10^-8. */
function units(text: string): bigint {
  const [, whole = "", decimals = ""] = /(\d[\d,]*)(?:\.(\d+))?/.exec(text) ?? [];
  const sign = text.startsWith("-") ? -1n : 1n;
  return sign * BigInt(whole.replaceAll(",", "") + decimals.padEnd(8, "0"));
}

describe("formatValue", () => {
  test("shows the currency and every decimal of money", () => {
    assert.equal(formatMoney("10000.00", "USD"), "$10,000.00");
    assert.equal(formatMoney("10.50", "EUR"), "€10.50");
    assert.equal(formatMoney("0.12345678", "USD"), "$0.12345678");
    assert.equal(formatMoney("-3.10", "GBP"), "-£3.10");
    assert.equal(formatMoney("5000", "JPY"), "¥5,000");
    assert.equal(formatMoney("5000.5", "JPY"), "¥5,000.5");
    assert.equal(formatMoney("1.500", "KWD"), "KWD 1.500");
    assert.equal(formatMoney("999999999999999.99999999", "USD"), "$999,999,999,999,999.99999999");
  });

  test("loses no digit of money and shows nothing invisible", () => {
    fc.assert(
      fc.property(amount, currency, (value, code) => {
        const shown = formatMoney(spell(formatMoney(value, code), value), code);
        assert.ok(typeof shown === "string");
        assert.equal(units(shown), units(value));
        assert.doesNotMatch(shown, /[^\P{Z} ]|\p{C}/u);
      }),
    );
  });

  test("shows any two currencies of money differently", () => {
    const codes = [...currencies];
    const shown = codes.map((code) => formatMoney(spell(formatMoney("1", code), "1"), code));
    assert.equal(new Set(shown).size, codes.length);
  });

  test("refuses money that is not a plain decimal", () => {
    const wrong = [
      "",
      "1,000.00",
      "1e3",
      "1.",
      ".5",
      "+1",
      " 1",
      "1 ",
      "0x10",
      "NaN",
      "Infinity",
      "１",
      "--1",
      "1.2.3",
      "-",
    ];
    for (const text of [...wrong, "007", "1234567890123456", "0.123456789"]) {
      assert.deepEqual(formatMoney(text, "USD"), { refused: "not_a_decimal" }, text);
      assert.deepEqual(formatQuantity(text), { refused: "not_a_decimal" }, text);
    }
  });

  test("refuses every spelling of money but one, and names that (T63)", () => {
    const spellings = {
      "1": "1.00",
      "1.0": "1.00",
      "1.000": "1.00",
      "1.230": "1.23",
      "-0.00": "0.00",
      "-1": "-1.00",
    };
    for (const [value, spelling] of Object.entries(spellings)) {
      assert.deepEqual(formatMoney(value, "USD"), { refused: "not_canonical", spelling }, value);
      assert.equal(typeof formatMoney(spelling, "USD"), "string", spelling);
    }
    assert.deepEqual(formatMoney("5000.0", "JPY"), { refused: "not_canonical", spelling: "5000" });
    fc.assert(
      fc.property(amount, amount, currency, (a, b, code) => {
        const [one, other] = [formatMoney(a, code), formatMoney(b, code)];
        if (typeof one === "string" && typeof other === "string")
          assert.equal(units(a) === units(b), a === b);
        if (typeof one === "string" && typeof other === "string") assert.equal(one === other, a === b);
      }),
    );
  });

  test("accepts the currency codes of funds and units of account", () => {
    assert.equal(formatMoney("1.2345", "CLF"), "CLF 1.2345");
    assert.equal(formatMoney("12.3400", "UYW"), "UYW 12.3400");
    assert.equal(formatMinorMoney(1234, "UYI"), "UYI 1,234");
    assert.equal(formatMinorMoney(1234, "CHE"), "CHE 12.34");
  });

  test("refuses money in an unknown currency", () => {
    for (const code of ["XXX", "usd", "US", "USDX", "", "$", "BTC", "constructor"]) {
      assert.deepEqual(formatMoney("1", code), { refused: "unknown_currency" });
      assert.deepEqual(formatMinorMoney(1, code), { refused: "unknown_currency" });
    }
  });

  test("uses the minor units of ISO 4217 for money-minor, also if Intl differs", () => {
    assert.equal(formatMinorMoney(1_000_000, "USD"), "$10,000.00");
    assert.equal(formatMinorMoney(5, "USD"), "$0.05");
    assert.equal(formatMinorMoney(-5, "USD"), "-$0.05");
    assert.equal(formatMinorMoney(0, "USD"), "$0.00");
    assert.equal(formatMinorMoney(5000, "JPY"), "¥5,000");
    assert.equal(formatMinorMoney(1500, "KWD"), "KWD 1.500");
    assert.equal(formatMinorMoney(500_000, "AFN"), "AFN 5,000.00");
    assert.equal(formatMinorMoney(500_000, "HUF"), "HUF 5,000.00");
    assert.equal(formatMinorMoney(Number.MAX_SAFE_INTEGER, "JPY"), "¥9,007,199,254,740,991");
  });

  test("shows the same amount for money-minor as for money in major units", () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), (minor) => {
        const shown = formatMinorMoney(minor, "USD");
        assert.ok(typeof shown === "string");
        assert.equal(units(shown), BigInt(minor) * 1_000_000n);
      }),
    );
  });

  test("groups the digits of a quantity, keeps its decimals and adds the unit", () => {
    assert.equal(formatQuantity("1250.5", "kg"), "1,250.5 kg");
    assert.equal(formatQuantity("10"), "10");
    assert.equal(formatValue({ as: "quantity", unit: "shares" }, 1_000_000), "1,000,000 shares");
    assert.equal(formatValue({ as: "quantity" }, Number.MAX_SAFE_INTEGER), "9,007,199,254,740,991");
  });

  test("refuses every spelling of a quantity but one, and names that (T63)", () => {
    for (const [value, spelling] of Object.entries({ "1250.50": "1250.5", "1.0": "1", "-0": "0" }))
      assert.deepEqual(formatQuantity(value, "kg"), { refused: "not_canonical", spelling });
  });

  test("shows days, hours, minutes and seconds of a duration in full", () => {
    assert.equal(formatDuration(5400), "1 hour 30 minutes");
    assert.equal(formatDuration(0), "0 seconds");
    assert.equal(formatDuration(1), "1 second");
    assert.equal(formatDuration(90_061), "1 day 1 hour 1 minute 1 second");
    assert.equal(formatDuration(86_400_000), "1,000 days");
    for (const seconds of [-1, 1.5, Number.NaN, 2 ** 53])
      assert.deepEqual(formatDuration(seconds), { refused: "not_a_duration" });
  });

  test("shows a time in UTC with weekday, and its seconds if not zero", () => {
    assert.equal(formatTime("2026-11-22T14:00:00Z"), "Sunday 22 November 2026, 14:00 UTC");
    assert.equal(formatTime("2026-11-22T14:00:05Z"), "Sunday 22 November 2026, 14:00:05 UTC");
    assert.equal(formatTime("2026-11-22T14:00:00.25Z"), "Sunday 22 November 2026, 14:00:00.25 UTC");
    assert.equal(formatTime("0044-03-15T12:00:00Z"), "Tuesday 15 March 0044, 12:00 UTC");
    assert.equal(formatEpochSeconds(1_795_356_000), "Sunday 22 November 2026, 14:00 UTC");
    assert.equal(formatValue({ as: "time" }, 0), "Thursday 1 January 1970, 00:00 UTC");
  });

  test("refuses every spelling of a time but one, and names that (T63)", () => {
    const spellings = {
      "2026-11-22T16:00:00+02:00": "2026-11-22T14:00:00Z",
      "2026-11-22T23:30:00-05:30": "2026-11-23T05:00:00Z",
      "2026-11-22T14:00:00+00:00": "2026-11-22T14:00:00Z",
      "2026-11-22T14:00:00-00:00": "2026-11-22T14:00:00Z",
      "2026-11-22T14:00:00.000Z": "2026-11-22T14:00:00Z",
      "2026-11-22T15:00:00.250+01:00": "2026-11-22T14:00:00.25Z",
    };
    for (const [value, spelling] of Object.entries(spellings)) {
      assert.deepEqual(formatTime(value), { refused: "not_canonical", spelling }, value);
      assert.equal(typeof formatTime(spelling), "string", spelling);
    }
  });

  test("refuses a time that is not an instant", () => {
    const wrong = [
      "",
      "now",
      "2026-11-22",
      "2026-11-22T14:00Z",
      "2026-11-22T14:00:00",
      "2026-11-22 14:00:00Z",
    ];
    const impossible = [
      "2026-02-30T00:00:00Z",
      "2026-13-01T00:00:00Z",
      "2026-11-22T24:00:00Z",
      "2026-11-22T14:60:00Z",
    ];
    const offset = [
      "2026-11-22T14:00:60Z",
      "2026-11-22T14:00:00+24:00",
      "2026-11-22T14:00:00+0200",
      "9999-12-31T23:59:59-01:00",
    ];
    for (const text of [...wrong, ...impossible, ...offset])
      assert.deepEqual(formatTime(text), { refused: "not_a_time" }, text);
    // Milliseconds instead of seconds.
    assert.deepEqual(formatEpochSeconds(1_795_356_000_000), { refused: "not_a_time" });
  });

  test("shows any two instants differently", () => {
    const second = fc.integer({ min: 0, max: 253_402_300_799 });
    fc.assert(
      fc.property(second, second, (a, b) => {
        assert.equal(formatEpochSeconds(a) === formatEpochSeconds(b), a === b);
        assert.equal(
          formatTime(new Date(a * 1000).toISOString().replace(".000Z", "Z")),
          formatEpochSeconds(a),
        );
      }),
    );
  });

  test("quotes each text of a list, and shows none if it is empty", () => {
    assert.equal(formatList(["ada", "bob"]), "“ada”, “bob”");
    assert.equal(formatList([]), "none");
    assert.equal(formatList([""]), "“”");
    assert.equal(formatList(["none"]), "“none”");
    assert.equal(formatList([1, 2]), "1, 2");
    assert.deepEqual(formatList(["a", null]), { refused: "wrong_type" });
  });

  test("prevents one item of a list from looking like two (T15)", () => {
    assert.notEqual(formatList(["ada”, “bob"]), formatList(["ada", "bob"]));
    const item = fc.string({ unit: fc.constantFrom("a", "“", "”", ",", " ", "\\", '"'), maxLength: 6 });
    fc.assert(
      fc.property(fc.array(item), fc.array(item), (a, b) => {
        assert.equal(formatList(a) === formatList(b), JSON.stringify(a) === JSON.stringify(b));
      }),
    );
  });

  test("shows text unchanged, booleans as yes or no, numbers ungrouped", () => {
    assert.equal(formatText("<b>x</b>"), "<b>x</b>");
    assert.equal(formatText(true), "yes");
    assert.equal(formatText(false), "no");
    assert.equal(formatText(1234567), "1234567");
    assert.deepEqual(formatText(null), { refused: "wrong_type" });
  });

  test("refuses a value whose type does not fit the format", () => {
    assert.deepEqual(formatValue({ as: "money" }, 5, "USD"), { refused: "wrong_type" });
    assert.deepEqual(formatValue({ as: "money" }, "5"), { refused: "wrong_type" });
    assert.deepEqual(formatValue({ as: "money-minor" }, "5", "USD"), { refused: "wrong_type" });
    assert.deepEqual(formatValue({ as: "money-minor" }, 5), { refused: "wrong_type" });
    assert.deepEqual(formatValue({ as: "quantity" }, true), { refused: "wrong_type" });
    assert.deepEqual(formatValue({ as: "duration" }, "60"), { refused: "wrong_type" });
    assert.deepEqual(formatValue({ as: "time" }, false), { refused: "wrong_type" });
    assert.deepEqual(formatValue({ as: "list" }, "a"), { refused: "wrong_type" });
  });
});
