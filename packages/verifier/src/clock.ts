import type { Clock as FullClock } from "@countersign/protocol/client";

/** The source of time of the verifier. Replace it in tests. */
export type Clock = Pick<FullClock, "now" | "sleep">;
