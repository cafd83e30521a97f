import { reservationTimeoutMs, type Token } from "../../domain/token/token.ts";
import { defineRecord } from "./define-record.ts";

export const tokenRecord = defineRecord<Token>()({
  id: (token) => token.hash,
  retention: "expires",
  dueAt: (token) => {
    if (token.state === "issued") return token.expiresAt;
    return token.state === "reserved" && token.spend ? token.spend.reservedAt + reservationTimeoutMs : null;
  },
  logged: true,
  hasRandomId: true,
});
