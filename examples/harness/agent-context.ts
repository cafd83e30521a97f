/** Starts everything of a story, and a browser for each approver, who is enrolled. */
import { type Approver, launchBrowser, meetApprover } from "./approver.ts";
import { openHarness, type Story, type StoryHarness } from "./story-harness.ts";

export type Scene = StoryHarness & {
  /** Approvers, in the order of the story. */
  readonly people: readonly Approver[];
};

/** Rejects if anything could not be started; stops everything first. */
export async function openScene(story: Story): Promise<Scene> {
  const [stage, browser] = await Promise.allSettled([openHarness(story), launchBrowser()]);
  const close = async () => {
    if (browser.status === "fulfilled") await browser.value.close();
    if (stage.status === "fulfilled") await stage.value.close();
  };
  try {
    if (stage.status === "rejected") throw stage.reason;
    if (browser.status === "rejected") throw browser.reason;
    const people = await Promise.all(
      stage.value.links.map(async (link) => {
        const person = await meetApprover(browser.value);
        await person.enrol(link);
        return person;
      }),
    );
    return { ...stage.value, people, close };
  } catch (error) {
    await close();
    throw error;
  }
}
