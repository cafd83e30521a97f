/** Every page of the approver, filled with cards as real operators declare them, and with one as a hostile agent would. */
import type { RequestState } from "@countersign/protocol";
import {
  type Card,
  getCardParts,
  type MultiPartCard,
  type SingleCard,
} from "../../../server/src/domain/action/card.ts";
import { renderAboutPage } from "../../../server/src/page/about.ts";
import { type CardView, renderCardPage } from "../../../server/src/page/card.ts";
import { renderDevicesPage } from "../../../server/src/page/devices.ts";
import { renderEnrolPage, renderOtherDevicePage } from "../../../server/src/page/enrol.ts";
import { renderInboxPage } from "../../../server/src/page/inbox.ts";
import type { Html } from "../../../server/src/page/layout.ts";
import { renderMessagePage } from "../../../server/src/page/message.ts";
import { renderQrCode } from "../../../server/src/page/qr-code.ts";
import { renderSignInPage } from "../../../server/src/page/sign-in.ts";
import { buildPasskeyForm } from "../../../server/src/signin/passkey/passkey-sign-in.ts";

export const now = Date.UTC(2026, 10, 22, 14, 30, 23);

export const refund: SingleCard = {
  v: 1,
  type: "refund",
  agent: { id: "refund-desk", name: "Refund desk" },
  sentence: [
    { text: "Refund " },
    { value: "$10,000.00", field: "amount" },
    { text: " to " },
    { value: "Marta Jiménez", field: "customer" },
    { text: " for order " },
    { value: "R-2041-887", field: "order" },
  ],
  rows: [
    { label: "Amount", value: "$10,000.00", field: "amount" },
    { label: "Customer", value: "Marta Jiménez", field: "customer" },
    { label: "Order", value: "R-2041-887", field: "order" },
  ],
  words: { message: "The espresso machines arrived with water damage. Photos match. Ticket 5512.", rows: [] },
  reversibility: "irreversible",
  level: "passkey-signed",
  audience: "https://payments.example.com",
  digest: "PFQ-0bh8sFvKqnQ5MfEpXEZ6Zg1tTDs1bQXQmGkq6hY",
  expiresAt: now + 107_000,
  salt: "c2FsdHNhbHRzYWx0c2FsdA",
};

export const order: SingleCard = {
  ...refund,
  type: "create_order",
  agent: { id: "trader", name: "Trading assistant" },
  sentence: [
    { text: "Buy " },
    { value: "10", field: "quantity" },
    { text: " " },
    { value: "ZEKO", field: "symbol" },
    { text: " at no more than " },
    { value: "$1,250.00", field: "price" },
    { text: " each" },
  ],
  rows: [
    { label: "Quantity", value: "10 shares", field: "quantity" },
    { label: "Symbol", value: "ZEKO", field: "symbol" },
    { label: "Limit price", value: "$1,250.00", field: "price" },
  ],
  words: { message: "P/E is below 15, as you asked.", rows: [] },
  reversibility: "external",
  level: "passkey",
  audience: "https://broker.example.com",
};

export const rollout: SingleCard = {
  ...refund,
  type: "promote_rollout",
  agent: { id: "release-agent", name: "Release agent" },
  sentence: [
    { text: "Promote rollout " },
    { value: "foo-v2", field: "rollout" },
    { text: " in " },
    { value: "prod", field: "environment" },
    { text: " to " },
    { value: "25 %", field: "weight" },
    { text: " of traffic" },
  ],
  rows: [
    { label: "Rollout", value: "foo-v2", field: "rollout" },
    { label: "Environment", value: "prod", field: "environment" },
    { label: "Traffic", value: "25 %", field: "weight" },
  ],
  words: {
    message: "Canary is healthy, ready for the next step.",
    rows: [
      { label: "Success rate", value: "99.97 %", field: "success_rate" },
      { label: "Error budget left", value: "82 %", field: "error_budget" },
      { label: "Burn rate", value: "0.4×", field: "burn_rate" },
    ],
  },
  reversibility: "reversible",
  level: "session",
  audience: "https://rollouts.example.com",
};

/** Markup, quotes, the server's own words, white space, no place to break, and another writing direction. */
export const hostileText = `"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;   Approved. ${"W".repeat(150)}`;
export const rightToLeft = "مرحبا بالعالم 123";

export const hostile: SingleCard = {
  ...refund,
  agent: { id: hostileText, name: hostileText },
  sentence: [
    { text: "Refund " },
    { value: hostileText, field: "amount" },
    { text: " to " },
    { value: rightToLeft, field: "customer" },
    { text: ` <b>"now"</b>` },
  ],
  rows: [
    { label: hostileText, value: hostileText, field: "amount" },
    { label: "Customer", value: rightToLeft, field: "customer" },
  ],
  words: {
    message: `</bdi></blockquote></figure>${hostileText}`,
    rows: [{ label: hostileText, value: hostileText, field: "note" }],
  },
};

/** Money moved, paid out and told of: one yes, or none of it. */
export const several: MultiPartCard = {
  v: 2,
  agent: refund.agent,
  parts: [
    {
      type: "transfer",
      sentence: [
        { text: "Move " },
        { value: "$10,000.00", field: "amount" },
        { text: " from " },
        { value: "Reserve", field: "from" },
        { text: " to " },
        { value: "Payouts", field: "to" },
      ],
      rows: [
        { label: "Amount", value: "$10,000.00", field: "amount" },
        { label: "From", value: "Reserve", field: "from" },
        { label: "To", value: "Payouts", field: "to" },
      ],
      words: { rows: [] },
    },
    { type: refund.type, sentence: refund.sentence, rows: refund.rows, words: { rows: [] } },
    {
      type: "notify",
      sentence: [{ text: "Send a message to " }, { value: "Marta Jiménez", field: "customer" }],
      rows: [{ label: "Customer", value: "Marta Jiménez", field: "customer" }],
      words: {
        rows: [{ label: "Draft", value: "Dear Marta,\nthe money is on its way.", field: "draft" }],
      },
    },
  ],
  words: refund.words,
  reversibility: "irreversible",
  level: "passkey-signed",
  audience: refund.audience,
  digest: refund.digest,
  expiresAt: refund.expiresAt,
  salt: refund.salt,
};

export const hostileSeveral: MultiPartCard = {
  ...several,
  agent: hostile.agent,
  parts: [hostile, hostile].map(({ type, sentence, rows, words }) => ({ type, sentence, rows, words })),
  words: hostile.words,
};

/** The view of a request that waits, as the endpoint would fill it. */
export function cardView(card: Card, more: Partial<CardView> = {}): CardView {
  return {
    card,
    cardHash: "Nf5WQ8ETZEcYjgqZ7hOgSAHGqJXwGZPUCuG4bMaVxS0",
    requestId: "req-7",
    state: "pending",
    shortDigest: "7K2M-Q9XD-4TCV",
    createdAt: now - 18_000,
    decideBy: now + 102_000,
    expiresAt: now + 107_000,
    now,
    csrf: "csrf-token",
    level: card.level,
    needsSignIn: false,
    ceremony:
      card.level === "passkey-signed"
        ? { token: "ceremony-1", challenge: "Y2hhbGxlbmdl", rpId: "localhost", allowCredentials: [] }
        : undefined,
    approverName: "Ada Lovelace",
    ...more,
  };
}

export function decision(verdict: "approve" | "deny", more: Partial<NonNullable<CardView["decision"]>> = {}) {
  return { decision: { verdict, approverName: "Grace Hopper", at: now - 60_000, mine: false, ...more } };
}

const creation: PublicKeyCredentialCreationOptionsJSON = {
  rp: { id: "localhost", name: "Countersign" },
  user: { id: "YWRh", name: "ada@example.com", displayName: "Ada Lovelace" },
  challenge: "Y2hhbGxlbmdl",
  pubKeyCredParams: [{ type: "public-key", alg: -7 }],
  authenticatorSelection: { residentKey: "required", userVerification: "required" },
};
const request: PublicKeyCredentialRequestOptionsJSON = {
  challenge: "Y2hhbGxlbmdl",
  rpId: "localhost",
  userVerification: "required",
};

export const enrolView = {
  approverName: "Ada Lovelace",
  email: "ada@example.com",
  token: "invitation",
  ceremony: { token: "ceremony-2", options: creation },
  otherDevice: {
    address: "https://countersign.example.com/enrol/invitation",
    qrCode: await renderQrCode("https://countersign.example.com/enrol/invitation"),
  },
};
export const signInView = {
  forms: [{ ...buildPasskeyForm("ceremony-3", request), method: undefined }],
  next: "/inbox",
};

export function waiting(card: Card, requestId: string, leftMs = 102_000) {
  const { agent, reversibility } = card;
  const decideBy = now + leftMs;
  return {
    requestId,
    agentName: agent.name,
    parts: getCardParts(card),
    reversibility,
    decideBy,
    shortDigest: "7K2M-Q9XD-4TCV",
  };
}

export function earlier(card: Card, requestId: string, state: RequestState, verdict?: "approve" | "deny") {
  return {
    requestId,
    agentName: card.agent.name,
    parts: getCardParts(card),
    state,
    verdict,
    at: now - 3_600_000,
  };
}

const person = { approverName: "Ada Lovelace", csrf: "csrf-token" };
const phone = { id: "device-1", name: "My iPhone", createdAt: now - 9e8, current: true };
const computer = { id: "device-2", name: "My Mac computer", createdAt: now - 9e7, current: false };
const reason = "The photos show a different machine. Please ask for the serial number first.";

/** Every page in every shape, by a name for the test's message and the screenshot's file. */
export const pages: { readonly [name: string]: () => Html } = {
  "card-refund": () => renderCardPage(cardView(refund)),
  "card-order-sign-in": () => renderCardPage(cardView(order, { needsSignIn: true })),
  "card-several": () => renderCardPage(cardView(several)),
  "card-several-hostile": () => renderCardPage(cardView(hostileSeveral)),
  "card-rollout": () => renderCardPage(cardView(rollout)),
  "card-hostile": () =>
    renderCardPage(
      cardView(hostile, {
        requestId: hostileText,
        approverName: hostileText,
        problem: hostileText,
        csrf: hostileText,
      }),
    ),
  "card-problem": () =>
    renderCardPage(
      cardView(refund, {
        problem: "The passkey could not be verified. Your decision was not recorded. Please try again.",
      }),
    ),
  "card-closed": () => renderCardPage(cardView(refund, { now: now + 102_000 })),
  "decided-approved": () =>
    renderCardPage(cardView(refund, { state: "approved", ...decision("approve", { mine: true }) })),
  "decided-several": () =>
    renderCardPage(cardView(several, { state: "denied", ...decision("deny", { reason }) })),
  "decided-redeemed": () => renderCardPage(cardView(rollout, { state: "redeemed", ...decision("approve") })),
  "decided-denied": () =>
    renderCardPage(cardView(refund, { state: "denied", ...decision("deny", { reason }) })),
  "decided-hostile": () =>
    renderCardPage(
      cardView(hostile, {
        state: "denied",
        ...decision("deny", { reason: hostileText, approverName: hostileText }),
      }),
    ),
  "decided-expired": () => renderCardPage(cardView(order, { state: "expired" })),
  "decided-lapsed": () => renderCardPage(cardView(order, { state: "lapsed", ...decision("approve") })),
  "decided-cancelled": () => renderCardPage(cardView(order, { state: "cancelled" })),
  inbox: () =>
    renderInboxPage({
      ...person,
      now,
      waiting: [
        waiting(refund, "a"),
        waiting(several, "s"),
        waiting(order, "b", 840_000),
        waiting(rollout, "c", 11_520_000),
      ],
      decided: [
        earlier(refund, "d", "denied", "deny"),
        earlier(several, "h", "redeemed", "approve"),
        earlier(rollout, "e", "redeemed", "approve"),
        earlier(order, "f", "expired"),
        earlier(order, "g", "cancelled", "approve"),
      ],
    }),
  "inbox-hostile": () =>
    renderInboxPage({
      ...person,
      now,
      waiting: [waiting(hostile, hostileText)],
      decided: [earlier(hostile, `2${hostileText}`, "denied")],
    }),
  "inbox-empty": () => renderInboxPage({ ...person, now, waiting: [], decided: [] }),
  enrol: () => renderEnrolPage(enrolView),
  "enrol-hostile": () =>
    renderEnrolPage({
      ...enrolView,
      approverName: hostileText,
      email: hostileText,
      token: hostileText,
      problem: hostileText,
      otherDevice: { ...enrolView.otherDevice, address: hostileText },
      ceremony: { token: hostileText, options: { ...creation, challenge: hostileText } },
    }),
  "enrol-elsewhere": () => renderOtherDevicePage(enrolView),
  "enrol-elsewhere-hostile": () =>
    renderOtherDevicePage({
      approverName: hostileText,
      token: hostileText,
      otherDevice: { ...enrolView.otherDevice, address: hostileText },
    }),
  "sign-in": () => renderSignInPage(signInView),
  "sign-in-hostile": () =>
    renderSignInPage({
      forms: [
        {
          ...buildPasskeyForm(hostileText, { ...request, challenge: hostileText }),
          method: hostileText,
          problem: hostileText,
        },
      ],
      next: `/requests/${hostileText}`,
    }),
  devices: () => renderDevicesPage({ ...person, devices: [phone, computer] }),
  "devices-one": () => renderDevicesPage({ ...person, devices: [phone] }),
  "devices-hostile": () =>
    renderDevicesPage({
      approverName: hostileText,
      csrf: hostileText,
      problem: hostileText,
      devices: [phone, { ...computer, id: hostileText, name: hostileText }],
    }),
  message: () =>
    renderMessagePage({ message: "not_found", nextLink: { href: "/sign-in", label: "Sign in" } }),
  "message-hostile": () =>
    renderMessagePage({
      message: "agent_paused",
      approverName: hostileText,
      nextLink: { href: `/${hostileText}`, label: hostileText },
    }),
  about: () => renderAboutPage({ issuer: "https://countersign.example.com" }),
};
