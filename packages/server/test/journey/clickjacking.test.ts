/** Another site times the clicks of an approver in Chromium, against a complete server. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { launchBrowser } from "@countersign/testing/browser/browser";
import {
  type Deployment,
  deploy,
  type Person,
  refund,
  toRequestId,
} from "@countersign/testing/server/deployment";
import { findFreePort } from "@countersign/testing/server/tls-fetch";
import { type ServerType, serve } from "@hono/node-server";
import type { Browser, BrowserContext, Page } from "playwright-core";

let deployment: Deployment;
let ada: Person;
let browser: Browser;
let site: string;
let listener: ServerType;
/** The other site: at 127.0.0.1, while the server is at localhost. */
const attacker = createServer((_, response) =>
  response.setHeader("content-type", "text/html").end("<!doctype html><title>game</title>"),
);
let attackerUrl: string;
/** The server's time while a test stops its clock. */
let stopped: number | undefined;

before(async () => {
  const port = await findFreePort();
  site = `http://localhost:${port}`;
  deployment = await deploy({ config: { issuer: site }, now: Date.now, minFormAgeMs: 700 });
  Object.defineProperty(deployment.clock, "now", { get: () => stopped ?? Date.now() });
  ada = await deployment.enrol("ada@example.com");
  listener = serve({ fetch: (request) => deployment.server.fetch(request), port, hostname: "localhost" });
  attacker.listen(0, "127.0.0.1");
  await new Promise((resolve) => attacker.once("listening", resolve));
  attackerUrl = `http://127.0.0.1:${(attacker.address() as AddressInfo).port}/`;
  browser = await launchBrowser();
});
after(async () => {
  await browser?.close();
  if ("closeAllConnections" in listener) listener.closeAllConnections();
  listener.close();
  attacker.closeAllConnections();
  attacker.close();
  await deployment.close();
});

let orders = 0;
async function ask(): Promise<string> {
  orders += 1;
  const details = [{ ...refund, order: `C-${orders}` }];
  const { body } = await deployment.ask({ authorization_details: JSON.stringify(details) });
  return toRequestId(body.auth_req_id);
}

async function readState(id: string): Promise<string | undefined> {
  return (await deployment.server.store.read("request", id))?.record.status.state;
}

/** Opens a browser in which Ada is signed in. */
async function open(
  run: (page: Page, context: BrowserContext) => Promise<void>,
  options: { readonly javaScriptEnabled?: boolean } = {},
): Promise<void> {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, ...options });
  try {
    const [name = "", value = ""] = ada.cookie.split("=");
    await context.addCookies([{ name, value, url: site, sameSite: "Lax" }]);
    await run(await context.newPage(), context);
  } finally {
    await context.close();
  }
}

/** Returns the middle of an element. */
async function middleOf(page: Page, name: string): Promise<[number, number]> {
  const box = await page.getByRole("button", { name, exact: true }).boundingBox();
  assert.ok(box);
  return [box.x + box.width / 2, box.y + box.height / 2];
}

/** Where the buttons of a card are, for a page that cannot see them. */
async function measure(id: string): Promise<[number, number]> {
  let at: [number, number] = [0, 0];
  await open(async (page) => {
    await page.goto(`${site}/requests/${id}`);
    at = await middleOf(page, "Approve");
  });
  return at;
}

describe("clicks that another site times", () => {
  test("the second click of a double click decides nothing: a window that sends its opener to the card and closes (T65)", async () => {
    const id = await ask();
    const [x, y] = await measure(id);
    await open(async (page, context) => {
      await page.goto(attackerUrl);
      const opening = context.waitForEvent("page");
      await page.evaluate(() => void window.open("/window", "", "width=390,height=844"));
      const small = await opening;
      await small.waitForLoadState();
      await small.evaluate((card) => {
        addEventListener("mousedown", () => {
          (window.opener as Window).location.href = card;
          window.close();
        });
      }, `${site}/requests/${id}`);
      const closed = small.waitForEvent("close");
      await small.mouse.move(x, y);
      await small.mouse.down().catch(() => {});
      await closed;
      await page.waitForURL(`${site}/requests/${id}`);
      // As fast as the browser allows, for longer than a double click lasts.
      for (let click = 0; click < 20; click += 1) await page.mouse.click(x, y);
      assert.equal(await readState(id), "pending");
      assert.equal(await page.getByRole("link", { name: "Continue to the request" }).count(), 1);
    });
  });

  test("clicks that go on through the step decide nothing while they last (T65)", async () => {
    const id = await ask();
    await open(async (page) => {
      await page.goto(attackerUrl);
      await page.evaluate((card) => location.assign(card), `${site}/requests/${id}`);
      await page.getByRole("link", { name: "Continue to the request" }).click();
      await page.getByRole("button", { name: "Approve" }).waitFor();
      const [x, y] = await middleOf(page, "Approve");
      for (const end = Date.now() + 2_500; Date.now() < end; ) {
        await page.mouse.click(x, y);
        await page.waitForTimeout(200);
      }
      assert.equal(await readState(id), "pending");
      // The person has stopped, reads, and decides.
      await page.getByRole("button", { name: "Approve" }).click();
      await page.getByRole("heading", { name: "Approved" }).waitFor();
      assert.equal(await readState(id), "approved");
    });
  });

  test("without scripts the server refuses a click that comes at once, and accepts one that does not (T65)", async () => {
    const id = await ask();
    await open(
      async (page) => {
        stopped = Date.now();
        await page.goto(`${site}/requests/${id}`);
        await page.getByRole("button", { name: "Approve" }).click();
        await page.getByRole("alert").filter({ hasText: "pressed before this page could be read" }).waitFor();
        assert.equal(await readState(id), "pending");
        stopped += 800;
        await page.getByRole("button", { name: "Approve" }).click();
        await page.getByRole("heading", { name: "Approved" }).waitFor();
        stopped = undefined;
      },
      { javaScriptEnabled: false },
    );
  });

  test("a key that is held when the page appears decides nothing; a press after that does (T65)", async () => {
    const id = await ask();
    await open(async (page) => {
      await page.goto(`${site}/requests/${id}`);
      const approve = page.getByRole("button", { name: "Approve" });
      await approve.focus();
      for (const end = Date.now() + 1_600; Date.now() < end; ) {
        await page.keyboard.down("Enter");
        await page.waitForTimeout(50);
      }
      await page.keyboard.up("Enter");
      await page.keyboard.down("Space");
      await page.waitForTimeout(1_100);
      await page.keyboard.up("Space");
      assert.equal(await readState(id), "pending");
      assert.equal(await approve.evaluate((button) => button === document.activeElement), true);
      await page.locator("#approve button:not([aria-disabled])").waitFor();
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Approved" }).waitFor();
    });
  });

  test("a page that gets the focus back waits again; assistive technology can click when it is ready (T65)", async () => {
    const id = await ask();
    await open(async (page) => {
      await page.goto(`${site}/requests/${id}`);
      const ready = page.locator("#deny button:not([aria-disabled])");
      const before = await page.getByRole("button", { name: "Deny" }).boundingBox();
      await ready.waitFor();
      assert.deepEqual(await page.getByRole("button", { name: "Deny" }).boundingBox(), before);
      const click = () => page.locator("#deny button").evaluate((button: HTMLElement) => button.click());
      await page.evaluate(() => window.dispatchEvent(new Event("focus")));
      await click();
      assert.equal(await readState(id), "pending");
      await page.evaluate(() => {
        Object.defineProperty(document, "hasFocus", { value: () => false, configurable: true });
        window.dispatchEvent(new Event("blur"));
      });
      await page.waitForTimeout(1_300);
      await click();
      assert.equal(await readState(id), "pending");
      await page.evaluate(() => {
        Object.defineProperty(document, "hasFocus", { value: () => true });
        window.dispatchEvent(new Event("focus"));
      });
      await ready.waitFor();
      await click();
      await page.getByRole("heading", { name: "Denied" }).waitFor();
    });
  });
});
