/** Starts everything of a story, and a browser for each approver, who is enrolled. */
import { type Approver, launchBrowser, openApprover } from "./approver.ts";
import { openHarness, type Story, type StoryHarness } from "./story-harness.ts";

export type Scene = StoryHarness & {
  /** Approvers, in the order of the story. */
  readonly approvers: readonly Approver[];
};

/** Rejects if anything could not be started; stops everything first. */
export async function openScene(story: Story): Promise<Scene> {
  const [harness, browser] = await Promise.allSettled([openHarness(story), launchBrowser()]);
  const close = async () => {
    if (browser.status === "fulfilled") await browser.value.close();
    if (harness.status === "fulfilled") await harness.value.close();
  };
  try {
    if (harness.status === "rejected") throw harness.reason;
    if (browser.status === "rejected") throw browser.reason;
    const approvers = await Promise.all(
      harness.value.enrolmentLinks.map(async (link) => {
        const approver = await openApprover(browser.value);
        await approver.enrol(link);
        return approver;
      }),
    );
    return { ...harness.value, approvers, close };
  } catch (error) {
    await close();
    throw error;
  }
}
