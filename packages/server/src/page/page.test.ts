import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { requestStates } from "@countersign/protocol";
import {
  createCardView,
  createDecision,
  createPendingItem,
  injectionCard,
  injectionText,
  multiPartCard,
  now,
  orderCard,
  pages,
  refundCard,
  rightToLeft,
  rolloutCard,
} from "@countersign/testing/browser/page-fixture";
import { formatTimeLeft } from "./asset/countdown.js";
import { findAsset, getAssetUrl } from "./asset.ts";
import { outcomes, renderCardPage } from "./card.ts";
import { renderInboxPage } from "./inbox.ts";
import { contentSecurityPolicy, type Html } from "./layout.ts";

const rendered = new Map(
  await Promise.all(
    Object.entries(pages).map(async ([name, render]) => [name, String(await render())] as const),
  ),
);

type Tag = { readonly name: string; readonly attributes: ReadonlyMap<string, string> };

/** Returns all tags of a page. The template escapes `>` in quoted values, so the expression finds every tag. */
function tags(markup: string): Tag[] {
  return [...markup.matchAll(/<([a-z][a-z0-9]*)((?:\s[^>]*)?)>/gi)].map(([, name = "", rest = ""]) => ({
    name: name.toLowerCase(),
    attributes: new Map(
      [...rest.matchAll(/([^\s=/]+)(?:="([^"]*)")?/g)].map(
        ([, key = "", value = ""]) => [key, value] as const,
      ),
    ),
  }));
}

/** Decodes the entities that the template writes. */
function unescaped(text: string): string {
  const entities: Record<string, string> = { lt: "<", gt: ">", quot: '"', "#39": "'", amp: "&" };
  return text.replace(/&(lt|gt|quot|#39|amp);/g, (_, entity) => entities[entity] ?? "");
}

function text(markup: string): string {
  return unescaped(markup.replace(/<[^>]*>/g, ""));
}

async function show(page: Html): Promise<string> {
  return String(await page);
}

/** Returns the markup of the form with this `id`. */
function form(markup: string, id: string): string {
  const found = new RegExp(`<form id="${id}"[\\s\\S]*?</form>`).exec(markup)?.[0];
  assert.ok(found, `a form "${id}"`);
  return found;
}

/** Returns the names and values of a form's fields. */
function fields(markup: string): Record<string, string> {
  return Object.fromEntries(
    tags(markup)
      .filter((tag) => tag.name === "input")
      .map(({ attributes }) => [attributes.get("name") ?? "", unescaped(attributes.get("value") ?? "")]),
  );
}

describe("pages", () => {
  test("escape markup in values: a page with hostile values has no additional tags (T15)", () => {
    const known = new Set(
      [...rendered]
        .filter(([name]) => !name.includes("hostile"))
        .flatMap(([, page]) => tags(page).map((tag) => tag.name)),
    );
    for (const name of ["script", "img", "b"]) assert.equal(known.has(name), name === "script");
    for (const [name, page] of rendered)
      for (const tag of tags(page)) assert.ok(known.has(tag.name), `${name}: <${tag.name}>`);
    for (const [name, page] of rendered)
      if (name.includes("hostile")) assert.ok(text(page).includes(injectionText), name);
  });

  test("have no inline script, inline style or event handler", () => {
    for (const [name, page] of rendered)
      for (const tag of tags(page)) {
        assert.notEqual(tag.name, "style", name);
        for (const key of tag.attributes.keys())
          assert.doesNotMatch(key, /^(style$|on|srcdoc$)/i, `${name}: ${key}`);
        if (tag.name === "script")
          assert.match(tag.attributes.get("src") ?? "", /^\/assets\/[a-z]+\.js\?v=/, name);
      }
    assert.doesNotMatch(contentSecurityPolicy, /unsafe|data:|\*|https?:/);
  });

  test("load nothing from other origins; links and forms stay on this server", () => {
    for (const [name, page] of rendered)
      for (const { attributes } of tags(page))
        for (const key of ["src", "href", "action"]) {
          const address = attributes.get(key);
          if (address !== undefined) assert.match(address, /^(#|\/(?!\/))/, `${name}: ${address}`);
        }
  });

  test("show several actions complete and numbered, with buttons for all of them", async () => {
    const page = await show(renderCardPage(createCardView(multiPartCard)));
    const shown = text(page);
    assert.match(shown, /3 actions, one decision/);
    for (const [at, { rows, words }] of multiPartCard.parts.entries()) {
      assert.ok(shown.includes(`${at + 1} of 3`));
      for (const { label, value } of [...rows, ...words.rows])
        assert.ok(shown.includes(label) && shown.includes(value), value);
    }
    assert.match(text(form(page, "approve")), /Approve all 3/);
    assert.match(text(form(page, "deny")), /Deny all 3/);
    const ids = new Set(tags(page).flatMap(({ attributes }) => attributes.get("id") ?? []));
    for (const { attributes } of tags(page))
      for (const id of attributes.get("aria-describedby")?.split(" ") ?? []) assert.ok(ids.has(id), id);
    assert.match(
      tags(form(page, "approve"))
        .find(({ name }) => name === "button")!
        .attributes.get("aria-describedby")!,
      /part-1 part-2 part-3/,
    );
    const two = await show(
      renderCardPage(createCardView({ ...multiPartCard, parts: multiPartCard.parts.slice(1) })),
    );
    assert.match(text(form(two, "approve")), /Approve both/);
    assert.doesNotMatch(
      await show(renderCardPage(createCardView(refundCard))),
      /1 of 1|one decision|Approve all/,
    );
  });

  test("use POST for every form, and have no link to a decision (T4)", () => {
    for (const [name, page] of rendered)
      for (const tag of tags(page)) {
        if (tag.name === "form") assert.equal(tag.attributes.get("method"), "post", name);
        if (tag.name === "a")
          assert.doesNotMatch(tag.attributes.get("href") ?? "", /decision|pause|remove|verdict/, name);
      }
  });

  test("label every visible field, and have unique ids", () => {
    for (const [name, page] of rendered) {
      const all = tags(page);
      const ids = all.flatMap(({ attributes }) => attributes.get("id") ?? []);
      assert.equal(new Set(ids).size, ids.length, name);
      const labelled = new Set(
        all.filter((tag) => tag.name === "label").map((tag) => tag.attributes.get("for")),
      );
      for (const tag of all)
        if (["input", "textarea", "select"].includes(tag.name) && tag.attributes.get("type") !== "hidden")
          assert.ok(labelled.has(tag.attributes.get("id")), `${name}: ${tag.attributes.get("name")}`);
      assert.ok(!all.some((tag) => tag.attributes.has("autofocus")), name);
    }
  });

  test("isolate the writing direction of each value in its own box (T15)", async () => {
    const page = await show(renderCardPage(createCardView(injectionCard)));
    assert.ok(page.includes(`<strong class="value short"><bdi>${rightToLeft}</bdi></strong>`));
    const heading = /<h1 id="sentence"[^>]*>([\s\S]*?)<\/h1>/.exec(page)?.[1] ?? "";
    const outside = text(heading.replace(/<strong[\s\S]*?<\/strong>/g, "·"));
    assert.equal(outside, `Refund · to · <b>"now"</b>`);
  });

  test("show the agent's own words once, inside the quotation marked as not checked (T16)", async () => {
    const page = await show(renderCardPage(createCardView(rolloutCard)));
    const quotation = /<figure class="words">([\s\S]*?)<\/figure>/.exec(page)?.[1] ?? "";
    assert.match(text(quotation), /^\s*Release agent says, in its own words — not checked/);
    const { words } = rolloutCard;
    for (const word of [words.message ?? "", ...words.rows.flatMap((row) => [row.label, row.value])]) {
      assert.ok(text(quotation).includes(word), word);
      assert.equal(text(page).split(word).length, 2, word);
    }
    assert.ok(
      !(await show(renderCardPage(createCardView({ ...rolloutCard, words: { rows: [] } })))).includes(
        "own words",
      ),
    );
  });

  test("show every bound row, pending or decided", async () => {
    for (const state of requestStates) {
      const page = text(
        await show(renderCardPage(createCardView(orderCard, { state, ...createDecision("approve") }))),
      );
      for (const row of orderCard.rows)
        assert.ok(page.includes(row.label) && page.includes(row.value), state);
    }
  });

  test("give approve and deny the same markup, except for label and fields", async () => {
    const page = await show(renderCardPage(createCardView(rolloutCard)));
    const shape = (markup: string) =>
      markup
        .replace(/<svg[\s\S]*?<\/svg>/g, "")
        .replaceAll(/approve|deny/gi, "")
        .replaceAll(/\s+/g, " ");
    assert.equal(shape(form(page, "approve")), shape(form(page, "deny")));
    assert.ok(page.indexOf(`id="deny"`) < page.indexOf(`id="approve"`), "deny comes first in the tab order");
  });

  test("send card hash and CSRF token with both verdicts, and the reason with a denial only", async () => {
    const page = await show(renderCardPage(createCardView(rolloutCard)));
    const common = { csrf: "csrf-token", card: createCardView(rolloutCard).cardHash };
    assert.deepEqual(fields(form(page, "deny")), { ...common, verdict: "deny" });
    assert.deepEqual(fields(form(page, "approve")), { ...common, verdict: "approve" });
    const reason = tags(page).find((tag) => tag.name === "textarea");
    assert.equal(reason?.attributes.get("name"), "reason");
    assert.equal(reason?.attributes.get("form"), "deny");
  });

  test("require a passkey for the approval at level passkey-signed, not for the denial", async () => {
    const page = await show(renderCardPage(createCardView(refundCard)));
    const approve = form(page, "approve");
    assert.deepEqual(Object.keys(fields(approve)), ["csrf", "card", "verdict", "ceremony", "assertion"]);
    assert.match(approve, /<button [^>]*disabled>/);
    assert.doesNotMatch(form(page, "deny"), /disabled|passkey/);
    const options = JSON.parse(unescaped(tags(approve)[0]?.attributes.get("data-options") ?? ""));
    assert.deepEqual(options, {
      challenge: "Y2hhbGxlbmdl",
      rpId: "localhost",
      allowCredentials: [],
      userVerification: "required",
      timeout: 102_000,
    });
  });

  test("link to sign-in instead of approving if the session is too old; denying stays possible", async () => {
    for (const view of [
      createCardView(orderCard, { needsSignIn: true }),
      createCardView(refundCard, { ceremony: undefined }),
    ]) {
      const page = await show(renderCardPage(view));
      assert.doesNotMatch(page, /value="approve"/);
      assert.match(page, /<a class="verdict" href="\/sign-in\?next=%2Frequests%2Freq-7">/);
      assert.equal(fields(form(page, "deny")).verdict, "deny");
    }
  });

  test("have no decision form from the deadline on (T11)", async () => {
    const { decideBy } = createCardView(refundCard);
    const verdicts = async (at: number) => {
      const page = await show(renderCardPage(createCardView(refundCard, { now: at })));
      return [
        page.includes(`value="approve"`),
        page.includes(`value="deny"`),
        page.includes("Too late to decide"),
      ];
    };
    assert.deepEqual((await verdicts(decideBy)).slice(0, 2), [false, false]);
    assert.deepEqual((await verdicts(decideBy - 1)).slice(0, 2), [true, true]);
  });

  test("show who decided, when and why on a decided card, without a decision form", async () => {
    for (const state of requestStates.filter((each) => each !== "pending")) {
      const page = await show(
        renderCardPage(
          createCardView(refundCard, { state, ...createDecision("deny", { reason: "No serial number" }) }),
        ),
      );
      assert.doesNotMatch(page, /\/decision"|name="verdict"/, state);
      for (const word of ["Grace Hopper", "22 Nov 2026, 14:29 UTC", "No serial number"])
        assert.ok(text(page).includes(word));
    }
    const mine = await show(
      renderCardPage(
        createCardView(refundCard, { state: "denied", ...createDecision("deny", { mine: true }) }),
      ),
    );
    assert.match(text(mine), /Denied by\s*You/);
  });

  test("use different texts for each state (T26)", () => {
    const words = requestStates.map((state) => outcomes[state].words("Refund desk"));
    const short = requestStates.map((state) => outcomes[state].short);
    assert.equal(new Set(words).size, requestStates.length);
    assert.equal(new Set(short).size, requestStates.length);
    for (const state of ["denied", "expired", "lapsed", "cancelled"] as const)
      assert.match(outcomes[state].words("Refund desk"), /will not happen/);
  });

  test("offer to pause the agent on every card", async () => {
    for (const state of requestStates) {
      const page = await show(renderCardPage(createCardView(refundCard, { state })));
      assert.ok(page.includes(`action="/requests/req-7/pause-agent"`), state);
    }
  });

  test("count pending requests in the inbox title; the inbox has no form", async () => {
    const view = { approverName: "Ada Lovelace", csrf: "csrf-token", now, decided: [] };
    const two = await show(
      renderInboxPage({
        ...view,
        waiting: [createPendingItem(refundCard, "a"), createPendingItem(orderCard, "b")],
      }),
    );
    assert.match(two, /<title>\(2\) Inbox · Countersign<\/title>/);
    assert.match(
      await show(renderInboxPage({ ...view, waiting: [] })),
      /<title>Inbox · Countersign<\/title>/,
    );
    assert.doesNotMatch(two, /<form/);
  });

  test("offer no removal of the last device", () => {
    assert.doesNotMatch(rendered.get("devices-one") ?? "", /\/remove"/);
    assert.match(rendered.get("devices") ?? "", /action="\/devices\/device-2\/remove"/);
  });

  test("formatTimeLeft rounds down and never returns less than 0:00", () => {
    const cases: [number, string][] = [
      [-5, "0:00"],
      [999, "0:00"],
      [1_000, "0:01"],
      [102_999, "1:42"],
      [3_599_999, "59:59"],
      [3_600_000, "1 h 0 min"],
      [86_399_999, "23 h 59 min"],
      [86_400_000, "1 day 0 h"],
      [190_800_000, "2 days 5 h"],
    ];
    for (const [ms, expected] of cases) assert.equal(formatTimeLeft(ms), expected);
  });

  test("getAssetUrl contains the content hash; findAsset returns undefined for other names", () => {
    const style = findAsset("app.css");
    assert.equal(getAssetUrl("app.css"), `/assets/app.css?v=${style?.hash}`);
    assert.equal(style?.etag, `"${style?.hash}"`);
    assert.match(style?.hash ?? "", /^[\w-]{16}$/);
    for (const name of ["", "asset.ts", "../asset.ts", "constructor", "__proto__"])
      assert.equal(findAsset(name), undefined);
  });

  test("keep all assets together below 8 kB compressed", async () => {
    const { gzipSync } = await import("node:zlib");
    const names = ["app.css", "countdown.js", "icon.svg", "inbox.js", "passkey.js"];
    const size = names.reduce((sum, name) => sum + gzipSync(findAsset(name)?.body ?? "").length, 0);
    assert.ok(size > 1_000 && size < 8_000, `${size} bytes`);
  });
});
