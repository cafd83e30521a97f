import type { JsonObject } from "@countersign/protocol";
import { defineRecord } from "./define-record.ts";

/** An action type as it was when it was published. Never changed; found by its hash. */
export type PublishedActionType = {
  readonly hash: string;
  readonly type: string;
  readonly definition: JsonObject;
  readonly publishedAt: number;
};

export const actionTypeRecord = defineRecord<PublishedActionType>()({
  id: (actionType) => actionType.hash,
  retention: "kept",
  logged: true,
});
