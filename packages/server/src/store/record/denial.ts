import type { JsonObject } from "@countersign/protocol";
import { defineRecord } from "./define-record.ts";

/** A standing denial: the same action is denied again until an operator releases it, which deletes the record. */
export type Denial = {
  readonly id: string;
  readonly agent: string;
  readonly type: string;
  readonly fields: JsonObject;
  readonly requestId: string;
  readonly deniedAt: number;
};

export const denialRecord = defineRecord<Denial>()({
  id: (denial) => denial.id,
  retention: "kept",
  logged: true,
});
