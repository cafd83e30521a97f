import { type Callback, lease } from "../../domain/callback/callback.ts";
import { defineRecord } from "./define-record.ts";

export const callbackRecord = defineRecord<Callback>()({
  id: (callback) => callback.id,
  retention: "outbox",
  dueAt: (callback) => (callback.state === "idle" ? null : callback.dueAt),
  lease,
  deletesAbandoned: true,
  logged: false,
  columns: { state: (callback) => callback.state },
  indexes: [{ name: "abandoned", on: ["id"], where: "state = 'abandoned'" }],
  hasRandomId: true,
});
