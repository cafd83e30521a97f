/** Every page of the approver, with realistic cards and with injected markup. */
import type { RequestState } from "@countersign/protocol";
import {
  type Card,
  getCardParts,
  type MultiPartCard,
  type SingleCard,
} from "../../../server/src/domain/action/card.ts";
import { renderAboutPage } from "../../../server/src/page/about.ts";
import { type CardView, renderCardPage } from "../../../server/src/page/card.ts";
import { renderContinuePage } from "../../../server/src/page/continue.ts";
import { renderDevicesPage } from "../../../server/src/page/devices.ts";
import { renderEnrolPage, renderOtherDevicePage } from "../../../server/src/page/enrol.ts";
import { renderInboxPage } from "../../../server/src/page/inbox.ts";
import type { Html } from "../../../server/src/page/layout.ts";
import { renderMessagePage } from "../../../server/src/page/message.ts";
import { renderQrCode } from "../../../server/src/page/qr-code.ts";
import { renderSignInPage } from "../../../server/src/page/sign-in.ts";
import { buildPasskeyForm } from "../../../server/src/signin/passkey/passkey-sign-in.ts";

export const now = Date.UTC(2026, 10, 22, 14, 30, 23);

export const refundCard: SingleCard = {
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

export const orderCard: SingleCard = {
  ...refundCard,
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

export const rolloutCard: SingleCard = {
  ...refundCard,
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

/** Markup, quotes, words of the server's pages, white space and a long word without a break. */
export const injectionText = `"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;   Approved. ${"W".repeat(150)}`;
export const rightToLeft = "مرحبا بالعالم 123";

export const injectionCard: SingleCard = {
  ...refundCard,
  agent: { id: injectionText, name: injectionText },
  sentence: [
    { text: "Refund " },
    { value: injectionText, field: "amount" },
    { text: " to " },
    { value: rightToLeft, field: "customer" },
    { text: ` <b>"now"</b>` },
  ],
  rows: [
    { label: injectionText, value: injectionText, field: "amount" },
    { label: "Customer", value: rightToLeft, field: "customer" },
  ],
  words: {
    message: `</bdi></blockquote></figure>${injectionText}`,
    rows: [{ label: injectionText, value: injectionText, field: "note" }],
  },
};

/** Three actions that are approved together. */
export const multiPartCard: MultiPartCard = {
  v: 2,
  agent: refundCard.agent,
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
    { type: refundCard.type, sentence: refundCard.sentence, rows: refundCard.rows, words: { rows: [] } },
    {
      type: "notify",
      sentence: [{ text: "Send a message to " }, { value: "Marta Jiménez", field: "customer" }],
      rows: [{ label: "Customer", value: "Marta Jiménez", field: "customer" }],
      words: {
        rows: [{ label: "Draft", value: "Dear Marta,\nthe money is on its way.", field: "draft" }],
      },
    },
  ],
  words: refundCard.words,
  reversibility: "irreversible",
  level: "passkey-signed",
  audience: refundCard.audience,
  digest: refundCard.digest,
  expiresAt: refundCard.expiresAt,
  salt: refundCard.salt,
};

export const injectionMultiPartCard: MultiPartCard = {
  ...multiPartCard,
  agent: injectionCard.agent,
  parts: [injectionCard, injectionCard].map(({ type, sentence, rows, words }) => ({
    type,
    sentence,
    rows,
    words,
  })),
  words: injectionCard.words,
};

/** Creates the view of a pending request, as the endpoint does. */
export function createCardView(card: Card, more: Partial<CardView> = {}): CardView {
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

export function createDecision(
  verdict: "approve" | "deny",
  more: Partial<NonNullable<CardView["decision"]>> = {},
) {
  return {
    decision: { verdict, approverName: "Grace Hopper", at: now - 60_000, mine: false, ...more },
  };
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

export function createPendingItem(card: Card, requestId: string, leftMs = 102_000) {
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

export function createDecidedItem(
  card: Card,
  requestId: string,
  state: RequestState,
  verdict?: "approve" | "deny",
) {
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

/** Every page in every state, by the name used in messages and for screenshots. */
export const pages: { readonly [name: string]: () => Html } = {
  "card-refund": () => renderCardPage(createCardView(refundCard)),
  "card-order-sign-in": () => renderCardPage(createCardView(orderCard, { needsSignIn: true })),
  "card-several": () => renderCardPage(createCardView(multiPartCard)),
  "card-several-hostile": () => renderCardPage(createCardView(injectionMultiPartCard)),
  "card-rollout": () => renderCardPage(createCardView(rolloutCard)),
  "card-hostile": () =>
    renderCardPage(
      createCardView(injectionCard, {
        requestId: injectionText,
        approverName: injectionText,
        problem: injectionText,
        csrf: injectionText,
      }),
    ),
  "card-problem": () =>
    renderCardPage(
      createCardView(refundCard, {
        problem: "The passkey could not be verified. Your decision was not recorded. Please try again.",
      }),
    ),
  "card-closed": () => renderCardPage(createCardView(refundCard, { now: now + 102_000 })),
  "decided-approved": () =>
    renderCardPage(
      createCardView(refundCard, { state: "approved", ...createDecision("approve", { mine: true }) }),
    ),
  "decided-several": () =>
    renderCardPage(createCardView(multiPartCard, { state: "denied", ...createDecision("deny", { reason }) })),
  "decided-redeemed": () =>
    renderCardPage(createCardView(rolloutCard, { state: "redeemed", ...createDecision("approve") })),
  "decided-denied": () =>
    renderCardPage(createCardView(refundCard, { state: "denied", ...createDecision("deny", { reason }) })),
  "decided-hostile": () =>
    renderCardPage(
      createCardView(injectionCard, {
        state: "denied",
        ...createDecision("deny", { reason: injectionText, approverName: injectionText }),
      }),
    ),
  "decided-expired": () => renderCardPage(createCardView(orderCard, { state: "expired" })),
  "decided-lapsed": () =>
    renderCardPage(createCardView(orderCard, { state: "lapsed", ...createDecision("approve") })),
  "decided-cancelled": () => renderCardPage(createCardView(orderCard, { state: "cancelled" })),
  inbox: () =>
    renderInboxPage({
      ...person,
      now,
      waiting: [
        createPendingItem(refundCard, "a"),
        createPendingItem(multiPartCard, "s"),
        createPendingItem(orderCard, "b", 840_000),
        createPendingItem(rolloutCard, "c", 11_520_000),
      ],
      decided: [
        createDecidedItem(refundCard, "d", "denied", "deny"),
        createDecidedItem(multiPartCard, "h", "redeemed", "approve"),
        createDecidedItem(rolloutCard, "e", "redeemed", "approve"),
        createDecidedItem(orderCard, "f", "expired"),
        createDecidedItem(orderCard, "g", "cancelled", "approve"),
      ],
    }),
  "inbox-hostile": () =>
    renderInboxPage({
      ...person,
      now,
      waiting: [createPendingItem(injectionCard, injectionText)],
      decided: [createDecidedItem(injectionCard, `2${injectionText}`, "denied")],
    }),
  "inbox-empty": () => renderInboxPage({ ...person, now, waiting: [], decided: [] }),
  enrol: () => renderEnrolPage(enrolView),
  "enrol-hostile": () =>
    renderEnrolPage({
      ...enrolView,
      approverName: injectionText,
      email: injectionText,
      token: injectionText,
      problem: injectionText,
      otherDevice: { ...enrolView.otherDevice, address: injectionText },
      ceremony: { token: injectionText, options: { ...creation, challenge: injectionText } },
    }),
  "enrol-elsewhere": () => renderOtherDevicePage(enrolView),
  "enrol-elsewhere-hostile": () =>
    renderOtherDevicePage({
      approverName: injectionText,
      token: injectionText,
      otherDevice: { ...enrolView.otherDevice, address: injectionText },
    }),
  "sign-in": () => renderSignInPage(signInView),
  "sign-in-hostile": () =>
    renderSignInPage({
      forms: [
        {
          ...buildPasskeyForm(injectionText, { ...request, challenge: injectionText }),
          method: injectionText,
          problem: injectionText,
        },
      ],
      next: `/requests/${injectionText}`,
    }),
  devices: () => renderDevicesPage({ ...person, devices: [phone, computer] }),
  "devices-one": () => renderDevicesPage({ ...person, devices: [phone] }),
  "devices-hostile": () =>
    renderDevicesPage({
      approverName: injectionText,
      csrf: injectionText,
      problem: injectionText,
      devices: [phone, { ...computer, id: injectionText, name: injectionText }],
    }),
  continue: () => renderContinuePage({ href: "/requests/req-7?via=mail", approverName: "Ada Lovelace" }),
  "continue-hostile": () => renderContinuePage({ href: `/${injectionText}`, approverName: injectionText }),
  message: () =>
    renderMessagePage({ message: "not_found", nextLink: { href: "/sign-in", label: "Sign in" } }),
  "message-hostile": () =>
    renderMessagePage({
      message: "agent_paused",
      approverName: injectionText,
      nextLink: { href: `/${injectionText}`, label: injectionText },
    }),
  about: () => renderAboutPage({ issuer: "https://countersign.example.com" }),
};
