/**
 * The person: sits at a real browser with a passkey of their own, reads what the page says, and presses its buttons.
 * What they know of a request is what the page shows them.
 */

import { addPasskeys } from "@countersign/testing/browser/browser";
import type { Browser, Page } from "playwright-core";

export { launchBrowser } from "@countersign/testing/browser/browser";

/** A card as it is read: the sentence, the rows by their label, the agent's own words, and the short digest. */
export type CardSeen = {
  readonly sentence: string;
  readonly rows: Readonly<Record<string, string>>;
  readonly words: string;
  readonly checkCode: string;
};

export type Approver = {
  readonly page: Page;
  /** Makes a passkey at the invitation's link, which leads to the inbox. */
  readonly enrol: (link: string) => Promise<void>;
  /** Waits until a request that mentions this is in the inbox, opens its card and reads it. */
  readonly openCard: (mention: string) => Promise<CardSeen>;
  /** Approves the open card, and goes back to the inbox. */
  readonly approve: () => Promise<void>;
  readonly deny: (reason?: string) => Promise<void>;
};

const patienceMs = 30_000;

/** A person with a browser window, and a device that knows their finger. */
export async function meetApprover(browser: Browser): Promise<Approver> {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, colorScheme: "light" });
  const page = await context.newPage();
  page.setDefaultTimeout(patienceMs);
  await addPasskeys(page);

  const decided = async (heading: string) => {
    await page.getByRole("heading", { name: heading, exact: true }).waitFor();
    await page.getByRole("link", { name: "Back to the inbox" }).click();
    await page.waitForURL("**/inbox");
  };
  return {
    page,
    enrol: async (link) => {
      await page.goto(link);
      await page.getByRole("button", { name: "Create a passkey" }).click();
      await page.waitForURL("**/inbox");
    },
    openCard: async (mention) => {
      if (!page.url().endsWith("/inbox"))
        await page.getByRole("link", { name: "Inbox", exact: true }).click();
      await page.getByRole("link", { name: mention }).click();
      await page.waitForURL("**/requests/*");
      return await readCard(page);
    },
    approve: async () => {
      await page.getByRole("button", { name: "Approve" }).click();
      await decided("Approved");
    },
    deny: async (reason) => {
      if (reason !== undefined) {
        await page.getByText("Add a reason").click();
        await page.getByLabel("Reason for denying").fill(reason);
      }
      await page.getByRole("button", { name: "Deny" }).click();
      await decided("Denied");
    },
  };
}

async function readCard(page: Page): Promise<CardSeen> {
  return await page.evaluate(() => {
    const text = (element: Element | null | undefined) =>
      element?.textContent?.replace(/\s+/g, " ").trim() ?? "";
    const rows = [...document.querySelectorAll("article dl.rows div")].filter(
      (row) => !row.closest("details"),
    );
    const code = [...document.querySelectorAll(".facts code")].at(-1);
    return {
      sentence: text(document.querySelector("h1")),
      rows: Object.fromEntries(
        rows.map((row) => [text(row.querySelector("dt")), text(row.querySelector("dd"))]),
      ),
      words: text(document.querySelector("figure blockquote")),
      checkCode: text(code),
    };
  });
}
