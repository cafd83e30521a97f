/** A sample of the README. `quick-start.test.ts` runs it. */
// #region next
import { agent } from "./quick-start-hono.ts";

export const POST = agent.receive;
// #endregion
