import type { JsonObject } from "@countersign/protocol";
import { defineRecord } from "./define-record.ts";

/** A published action type, found by its hash. Immutable. */
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
