import type { Approver, Device, Invitation, Session } from "../../domain/people/approver.ts";
import { defineRecord } from "./define-record.ts";

/** Wrong user codes entered for one approver (CIBA §7.1), counted until `expiresAt`. */
export type UserCodeAttempts = { readonly id: string; readonly wrong: number; readonly expiresAt: number };

export const approverRecord = defineRecord<Approver>()({
  id: (approver) => approver.id,
  retention: "kept",
  logged: true,
  columns: { email: (approver) => approver.email },
  indexes: [{ name: "email", on: ["email"], unique: true }],
  cached: true,
});

export const deviceRecord = defineRecord<Device>()({
  id: (device) => device.id,
  retention: "kept",
  logged: true,
  columns: { approver: (device) => device.approver },
  indexes: [{ name: "approver", on: ["approver", "id"] }],
});

export const invitationRecord = defineRecord<Invitation>()({
  id: (invitation) => invitation.id,
  retention: "expires",
  dueAt: (invitation) => invitation.expiresAt,
  logged: true,
});

export const sessionRecord = defineRecord<Session>()({
  id: (session) => session.id,
  retention: "expires",
  dueAt: (session) => session.expiresAt,
  logged: false,
  columns: { device: (session) => session.device ?? null },
  indexes: [{ name: "device", on: ["device", "id"] }],
  cached: true,
  hasRandomId: true,
});

export const userCodeAttemptsRecord = defineRecord<UserCodeAttempts>()({
  id: (attempts) => attempts.id,
  retention: "expires",
  dueAt: (attempts) => attempts.expiresAt,
  logged: false,
});
