import type { JsonObject } from "@countersign/protocol";
import { defineRecord } from "./define-record.ts";

/** A key pair; the private key is encrypted under the root key. */
export type SealedKey = {
  readonly kid: string;
  readonly purpose: "token" | "log";
  readonly publicJwk: JsonObject;
  readonly sealedPrivateJwk: string;
  readonly activeAt: number;
};

export const keyRecord = defineRecord<SealedKey>()({
  id: (key) => key.kid,
  retention: "kept",
  logged: true,
});
