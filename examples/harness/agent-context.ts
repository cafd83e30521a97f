/** A stage and its people: everything runs, and each approver sits at a browser in which they have enrolled. */
import { type Approver, launchBrowser, meetApprover } from "./approver.ts";
import { openHarness, type Story, type StoryHarness } from "./story-harness.ts";

export type Scene = StoryHarness & {
  /** In the order of the story's approvers. */
  readonly people: readonly Approver[];
};

/** Throws why it could not be set up; nothing is left running then. */
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
