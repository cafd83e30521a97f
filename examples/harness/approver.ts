/**
 * Simulates an approver: a real browser with a passkey, which reads the page and presses its buttons.
 */

import { addPasskeys } from "@countersign/testing/browser/browser";
import type { Browser, Page } from "playwright-core";

export { launchBrowser } from "@countersign/testing/browser/browser";

/** Content of a card: sentence, rows by label, the agent's own words, check code. */
export type CardContent = {
  readonly sentence: string;
  readonly rows: Readonly<Record<string, string>>;
  readonly words: string;
  readonly checkCode: string;
};

export type Approver = {
  readonly page: Page;
  /** Opens the invitation's link and creates a passkey. */
  readonly enrol: (link: string) => Promise<void>;
  /** Waits for a request in the inbox that contains this text, opens its card and returns its content. */
  readonly openCard: (text: string) => Promise<CardContent>;
  /** Approves the open card and returns to the inbox. */
  readonly approve: () => Promise<void>;
  readonly deny: (reason?: string) => Promise<void>;
};

const timeoutMs = 30_000;

/** Opens a browser window with a virtual authenticator. */
export async function openApprover(browser: Browser): Promise<Approver> {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, colorScheme: "light" });
  const page = await context.newPage();
  page.setDefaultTimeout(timeoutMs);
  await addPasskeys(page);

  const waitForDecision = async (heading: string) => {
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
    openCard: async (text) => {
      if (!page.url().endsWith("/inbox"))
        await page.getByRole("link", { name: "Inbox", exact: true }).click();
      await page.getByRole("link", { name: text }).click();
      await page.waitForURL("**/requests/*");
      return await readCard(page);
    },
    approve: async () => {
      await page.getByRole("button", { name: "Approve" }).click();
      await waitForDecision("Approved");
    },
    deny: async (reason) => {
      if (reason !== undefined) {
        await page.getByText("Add a reason").click();
        await page.getByLabel("Reason for denying").fill(reason);
      }
      await page.getByRole("button", { name: "Deny" }).click();
      await waitForDecision("Denied");
    },
  };
}

async function readCard(page: Page): Promise<CardContent> {
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
