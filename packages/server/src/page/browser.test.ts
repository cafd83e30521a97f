import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { addPasskeys, launchBrowser } from "@countersign/testing/browser/browser";
import {
  createCardView,
  createPendingItem,
  enrolView,
  now,
  orderCard,
  pages,
  refundCard,
  rolloutCard,
} from "@countersign/testing/browser/page-fixture";
import { type ServerType, serve } from "@hono/node-server";
import { Hono } from "hono";
import jsQrModule from "jsqr";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { PNG } from "pngjs";
import { findAsset } from "./asset.ts";
import { renderInboxPage } from "./inbox.ts";
import { contentSecurityPolicy } from "./layout.ts";

// A CommonJS module that its types describe as an ES module.
const jsQR = jsQrModule as unknown as typeof jsQrModule.default;

type Sent = { readonly path: string; readonly fields: { readonly [name: string]: unknown } };

let browser: Browser;
let server: ServerType;
let site: string;
/** Forms that the browser has submitted, in order. */
const sent: Sent[] = [];
/** The requests that the inbox shows, and a function that sends an inbox event. */
let inbox: ReturnType<typeof createPendingItem>[] = [];
let announce: () => void = () => {};
/** True if the event stream returns 503. */
let down = false;

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

before(async () => {
  const app = new Hono();
  app.use(async (context, next) => {
    await next();
    context.header("Content-Security-Policy", contentSecurityPolicy);
    context.header("Cache-Control", "no-store");
  });
  app.get("/assets/:name", (context) => {
    const asset = findAsset(context.req.param("name"));
    if (!asset || context.req.query("v") !== asset.hash) return context.notFound();
    return context.body(asset.body, 200, { "Content-Type": asset.contentType, ETag: asset.etag });
  });
  app.get("/pages/:name", (context) => {
    const render = pages[context.req.param("name")];
    return render ? context.html(render()) : context.notFound();
  });
  app.get("/inbox", (context) =>
    context.html(
      renderInboxPage({ approverName: "Ada Lovelace", csrf: "t", now, waiting: inbox, decided: [] }),
    ),
  );
  app.get("/inbox/events", (context) => {
    if (down) return context.text("down", 503);
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue(": open\n\n");
        announce = () => controller.enqueue("event: inbox\ndata: \n\n");
      },
    }).pipeThrough(new TextEncoderStream());
    return context.body(stream, 200, { "Content-Type": "text/event-stream" });
  });
  app.post("*", async (context) => {
    sent.push({ path: context.req.path, fields: await context.req.parseBody() });
    return context.html("<!doctype html><html lang=en><title>sent</title><h1>sent</h1></html>");
  });
  server = serve({ fetch: app.fetch, port: 0, hostname: "localhost" });
  if (!server.listening) await new Promise((resolve) => server.once("listening", resolve));
  site = `http://localhost:${(server.address() as AddressInfo).port}`;
  browser = await launchBrowser();
});

after(async () => {
  await browser?.close();
  if (server && "closeAllConnections" in server) server.closeAllConnections();
  server?.close();
});

/** Opens a page in a new browser context. Any console error fails the test. */
async function open(
  path: string,
  run: (page: Page, complaints: string[]) => Promise<void>,
  options: BrowserContextOptions = {},
) {
  sent.length = 0;
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, ...options });
  try {
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    if (path !== "") await page.goto(site + path);
    await run(page, complaints);
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
  }
}

describe("pages in a browser", () => {
  test("have no axe violations, light and dark, on a phone and a desktop", async () => {
    const all = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    // A wide window only changes sizes and paddings (app.css): the rules that measure boxes are enough there.
    const boxes = ["color-contrast", "target-size", "scrollable-region-focusable"];
    const looks = [
      { width: 390, height: 844, colorScheme: "light", rules: all },
      { width: 390, height: 844, colorScheme: "dark", rules: ["color-contrast"] },
      { width: 1280, height: 900, colorScheme: "dark", rules: boxes },
    ] as const;
    await open("", async (page) => {
      for (const name of Object.keys(pages)) {
        await page.goto(`${site}/pages/${name}`);
        // axe skips buttons that are not ready; these pages have every kind of button.
        if (["card-rollout", "card-refund", "devices", "enrol"].includes(name))
          await page.locator("button:not([aria-disabled])").first().waitFor({ state: "attached" });
        await page.evaluate(axe);
        for (const { width, height, colorScheme, rules } of looks) {
          await page.setViewportSize({ width, height });
          await page.emulateMedia({ colorScheme });
          assert.deepEqual(await violations(page, rules), [], `${name}, ${colorScheme}, ${width} wide`);
        }
      }
    });
  });

  /** Runs axe in the page with these rules or tags. Returns the violations. */
  async function violations(page: Page, rules: readonly string[]): Promise<string[]> {
    return page.evaluate(async (runOnly) => {
      // The pages have no frames, and their style sheet is of their own origin.
      const faster = { preload: false, iframes: false, selectors: false };
      const found = await (globalThis as any).axe.run({ resultTypes: ["violations"], runOnly, ...faster });
      return found.violations.map((each: any) => `${each.id}: ${each.nodes[0]?.html}`);
    }, rules);
  }

  test("run axe under the same content security policy", async () => {
    await open("/pages/card-refund", async (page) => {
      await page.evaluate(axe);
      await page.evaluate(() => {
        const style = new CSSStyleSheet();
        style.replaceSync(".lead, .asks { color: #ccc }");
        document.adoptedStyleSheets = [style];
        document.querySelector("label")?.remove();
      });
      const found = await violations(page, ["color-contrast", "label"]);
      assert.match(found.join(), /color-contrast/);
    });
  });

  test("fit a viewport 320 pixels wide", async () => {
    const narrow = { viewport: { width: 320, height: 640 } };
    await open(
      "",
      async (page) => {
        for (const name of Object.keys(pages)) {
          await page.goto(`${site}/pages/${name}`);
          const width = await page.evaluate(() => document.documentElement.scrollWidth);
          assert.equal(width, 320, name);
        }
      },
      narrow,
    );
  });

  test("show approve and deny in the same size, at least 56 pixels high and 24 apart", async () => {
    await open("/pages/card-refund", async (page) => {
      const deny = await page.getByRole("button", { name: "Deny" }).boundingBox();
      const approve = await page.getByRole("button", { name: "Approve" }).boundingBox();
      assert.ok(deny && approve);
      const size = (box: typeof deny) => [box.width, box.height, box.y].map(Math.round);
      assert.deepEqual(size(deny), size(approve));
      assert.ok(deny.height >= 56, `${deny.height} high`);
      assert.ok(approve.x - (deny.x + deny.width) >= 24, "the gap");
      assert.ok(approve.y + approve.height <= 844, "both are on the first screen of a phone");
    });
  });

  test("set no initial focus on a card, and a tab order that follows the reading order", async () => {
    await open("/pages/card-refund", async (page) => {
      const focused = () =>
        page.evaluate(() => {
          const at = document.activeElement;
          return at === document.body ? "" : (at?.textContent?.trim() ?? "");
        });
      assert.equal(await focused(), "");
      const stops: string[] = [];
      for (let stop = 0; stop < 9; stop++) {
        await page.keyboard.press("Tab");
        stops.push(await focused());
        const outline = await page.evaluate(
          () => getComputedStyle(document.activeElement as Element).outlineStyle,
        );
        assert.equal(outline, "solid", `${stops.at(-1)} shows that it is focused`);
      }
      assert.deepEqual(stops, [
        "Skip to content",
        "Countersign",
        "Inbox",
        "Devices",
        "Add a reason for denying",
        "Deny",
        "Approve",
        "Details",
        "Something wrong? Pause Refund desk",
      ]);
    });
  });

  test("do not submit on Enter in the reason field; the reason is sent with the denial", async () => {
    await open("/pages/card-rollout", async (page) => {
      await page.getByText("Add a reason").click();
      const reason = page.getByLabel("Reason for denying");
      await reason.fill("Burn rate is too high");
      await reason.press("Enter");
      assert.equal(sent.length, 0);
      await page.getByRole("button", { name: "Deny" }).click();
      await page.getByText("sent").waitFor();
      assert.equal(sent.length, 1);
      assert.equal(sent[0]?.path, "/requests/req-7/decision");
      assert.equal(sent[0]?.fields.verdict, "deny");
      assert.match(String(sent[0]?.fields.reason), /^Burn rate is too high\s*$/);
    });
  });

  test("show everything on a card without JavaScript, and allow the denial", async () => {
    const plain = { javaScriptEnabled: false };
    await open(
      "/pages/card-refund",
      async (page) => {
        for (const words of [
          ...refundCard.rows.map((row) => row.value),
          "Refund desk asks for your approval",
          refundCard.words.message ?? "",
          "Cannot be undone",
          "Decide within 1:42 or it expires",
          "open until 14:32:05 UTC",
          "7K2M-Q9XD-4TCV",
          "Approving needs your passkey, and that needs JavaScript. You can deny without it.",
        ])
          assert.ok(await page.getByRole("main").getByText(words).first().isVisible(), words);
        assert.ok(await page.getByRole("button", { name: "Approve" }).isDisabled());
        await page.getByRole("button", { name: "Deny" }).click();
        await page.getByText("sent").waitFor();
        assert.equal(sent[0]?.fields.verdict, "deny");
      },
      plain,
    );
    await open(
      "/pages/card-rollout",
      async (page) => {
        await page.getByRole("button", { name: "Approve" }).click();
        await page.getByText("sent").waitFor();
        assert.deepEqual(
          { ...sent[0]?.fields },
          {
            csrf: "csrf-token",
            card: createCardView(rolloutCard).cardHash,
            verdict: "approve",
          },
        );
      },
      plain,
    );
  });

  /** Removes the WebAuthn JSON functions that older browsers lack. */
  function makeOld() {
    const credential = PublicKeyCredential as any;
    delete credential.parseCreationOptionsFromJSON;
    delete credential.parseRequestOptionsFromJSON;
    credential.prototype.toJSON = () => {
      throw new TypeError("Illegal invocation");
    };
  }

  for (const [name, summary] of [
    ["enrol", "Set up another device instead"],
    ["enrol-elsewhere", undefined],
  ] as const)
    test(`show the address in the QR code of ${name}, light and dark`, async () => {
      for (const colorScheme of ["light", "dark"] as const)
        await open(
          `/pages/${name}`,
          async (page) => {
            if (summary) await page.getByText(summary).click();
            const { data, width, height } = PNG.sync.read(
              await page.getByRole("img", { name: "QR code" }).screenshot(),
            );
            const read = jsQR(new Uint8ClampedArray(data), width, height);
            assert.equal(read?.data, enrolView.otherDevice.address);
          },
          { colorScheme },
        );
    });

  for (const age of ["a current", "an older"])
    test(`create a passkey, sign in and sign a decision in ${age} browser`, async () => {
      await open("", async (page) => {
        const passkeys = await addPasskeys(page);
        if (age === "an older") await page.addInitScript(makeOld);

        await page.goto(`${site}/pages/enrol`);
        assert.equal(await page.getByLabel("Device name").inputValue(), "My Linux computer");
        await page.getByRole("button", { name: "Create a passkey" }).click();
        await page.getByText("sent").waitFor();
        const enrolled = answer("attestation");
        assert.equal(await passkeys.count(), 1);
        assert.equal(sent[0]?.path, "/enrol/invitation");
        assert.equal(sent[0]?.fields.ceremony, enrolView.ceremony.token);
        assert.deepEqual(enrolled.client, {
          type: "webauthn.create",
          challenge: "Y2hhbGxlbmdl",
          origin: site,
        });
        assert.equal(typeof enrolled.response.attestationObject, "string");

        sent.length = 0;
        await page.goto(`${site}/pages/sign-in`);
        await page.getByRole("button", { name: "Use my passkey" }).click();
        await page.getByText("sent").waitFor();
        const signedIn = answer("assertion");
        assert.equal(sent[0]?.path, "/sign-in");
        assert.equal(sent[0]?.fields.next, "/inbox");
        assert.equal(signedIn.id, enrolled.id);
        assert.equal(signedIn.response.userHandle, enrolView.ceremony.options.user.id);

        sent.length = 0;
        await page.goto(`${site}/pages/card-refund`);
        await page.getByRole("button", { name: "Approve" }).click();
        await page.getByText("sent").waitFor();
        const signed = answer("assertion");
        assert.equal(sent[0]?.fields.verdict, "approve");
        assert.equal(sent[0]?.fields.ceremony, "ceremony-1");
        assert.deepEqual(signed.client, { type: "webauthn.get", challenge: "Y2hhbGxlbmdl", origin: site });
        for (const part of ["signature", "authenticatorData"])
          assert.match(String(signed.response[part]), /^[\w-]+$/);
      });
    });

  /** Returns the credential in the first submitted form, with its decoded client data. */
  function answer(field: string) {
    const { id, response } = JSON.parse(String(sent[0]?.fields[field]));
    const { type, challenge, origin } = JSON.parse(
      Buffer.from(response.clientDataJSON, "base64url").toString(),
    );
    return { id, response, client: { type, challenge, origin } };
  }

  test("show an error after a failed passkey prompt, submit nothing and allow a retry", async () => {
    await open("", async (page) => {
      const passkeys = await addPasskeys(page);
      await page.goto(`${site}/pages/enrol`);
      await page.getByRole("button", { name: "Create a passkey" }).click();
      await page.getByText("sent").waitFor();
      sent.length = 0;
      await passkeys.setUserVerified(false);
      await page.goto(`${site}/pages/sign-in`);
      const button = page.getByRole("button", { name: "Use my passkey" });
      await button.click();
      await page
        .getByRole("alert")
        .filter({ hasText: "The passkey prompt was cancelled or timed out" })
        .waitFor();
      assert.equal(sent.length, 0);
      await passkeys.setUserVerified(true);
      await button.click();
      await page.getByText("sent").waitFor();
      assert.equal(sent.length, 1);
    });
  });

  test("count down by the server's time, announce the deadline once and disable the card (T11)", async () => {
    await open("", async (page) => {
      await page.clock.install({ time: new Date("2001-01-01T00:00:00Z") });
      await page.clock.pauseAt(new Date("2001-01-01T00:01:00Z"));
      await page.goto(`${site}/pages/card-rollout`);
      const left = page.getByRole("timer");
      const status = page.getByRole("status");
      const approve = page.getByRole("button", { name: "Approve" });
      assert.equal(await left.textContent(), "1:42");
      await page.clock.runFor(12_000);
      assert.equal(await left.textContent(), "1:30");
      assert.equal(await status.textContent(), "");
      await page.clock.runFor(60_000);
      assert.equal(await status.textContent(), "30 seconds left to decide");
      await page.clock.runFor(29_500);
      assert.ok(await approve.isEnabled());
      assert.equal(await status.textContent(), "30 seconds left to decide");
      await page.clock.runFor(750);
      assert.ok(await approve.isDisabled());
      assert.ok(await page.getByRole("button", { name: "Deny" }).isDisabled());
      assert.match((await status.textContent()) ?? "", /^Too late to decide/);
      assert.equal(await left.count(), 0);
    });
  });

  test("show times in the browser's time zone", async () => {
    const options = { timezoneId: "Asia/Tokyo", locale: "en-GB" };
    await open(
      "/pages/decided-denied",
      async (page) =>
        assert.match(String(await page.locator("dl").first().textContent()), /22 Nov 2026, 23:29/),
      options,
    );
  });

  test("show new requests in the inbox, keep the focus and announce a change once", async () => {
    inbox = [createPendingItem(orderCard, "one")];
    await open("/inbox", async (page) => {
      await page.getByRole("link", { name: "Trading assistant" }).focus();
      inbox = [createPendingItem(refundCard, "two"), createPendingItem(orderCard, "one")];
      announce();
      await page.getByText("2 requests are waiting for you").first().waitFor();
      assert.match(await page.title(), /^\(2\) Inbox/);
      assert.equal(await page.evaluate(() => document.activeElement?.id), "request-one");
      assert.equal(await page.getByRole("status").textContent(), "2 requests are waiting for you");

      inbox = [createPendingItem(refundCard, "two")];
      announce();
      await page.getByRole("link", { name: "Trading assistant" }).waitFor({ state: "detached" });
      assert.equal(await page.evaluate(() => document.activeElement?.id), "main");
      assert.match(String(await page.getByRole("timer").textContent()), /^1:4[12]$/);
    });
  });

  test("reconnect the inbox after a refused event stream, and show missed requests", async () => {
    inbox = [];
    down = true;
    await open("", async (page, complaints) => {
      await page.clock.install();
      const refused = page.waitForEvent("console", (message) => message.text().includes("503"));
      await page.goto(`${site}/inbox`);
      await refused;
      inbox = [createPendingItem(refundCard, "two")];
      down = false;
      await page.clock.fastForward(5_000);
      await page.getByRole("heading", { name: "One request is waiting for you" }).waitFor();
      assert.match(complaints.splice(0).join(), /503/);
    });
  });

  test("never turn text into markup (T15)", async () => {
    await open("/pages/card-refund", async (page, complaints) => {
      const refused = await page.evaluate(() => {
        try {
          document.body.innerHTML = "<p>";
          return "";
        } catch (error) {
          return String(error);
        }
      });
      assert.match(refused, /TrustedHTML/);
      assert.match(complaints.splice(0).join(), /TrustedHTML/);
    });
  });
});
