/** The configuration of the test deployments: one action of each authentication level, an owner rule, and a scope. */
import type { ConfigObject } from "./edit-config.ts";

export const issuer = "http://localhost:4400";

const refundAction = (level: "session" | "passkey" | "passkey-signed"): ConfigObject => ({
  api: "refunds",
  schema: {
    type: "object",
    additionalProperties: false,
    required: ["order", "amount", "currency"],
    properties: {
      order: { type: "string", maxLength: 40 },
      amount: { type: "string", pattern: "^[1-9][0-9]{0,6}\\.[0-9]{2}$" },
      currency: { type: "string", enum: ["USD", "EUR"] },
      quantity: { type: "integer" },
      reason: { type: "string", maxLength: 500 },
    },
  },
  bound: ["order", "amount", "currency", "quantity"],
  advisory: ["reason"],
  deny_by: ["order"],
  display: {
    sentence: "Refund {amount} for order {order}",
    rows: [
      { label: "Amount", field: "amount", as: "money", currency: "currency" },
      { label: "Order", field: "order" },
      { label: "Quantity", field: "quantity", as: "quantity" },
      { label: "Reason given", field: "reason" },
    ],
  },
  reversibility: "irreversible",
  approvers: { groups: ["finance"] },
  level,
  lifetime: { default: 120, max: 600 },
  token_lifetime: 60,
});

export const sampleConfig: ConfigObject = {
  issuer,
  listen: { host: "127.0.0.1", port: 4400 },
  store: "./countersign.db",
  key_file: "./countersign.key",
  limits: { max_pending_per_agent: 20, max_requests_per_hour: 10_000 },
  logging: { level: "error" },
  passkeys: { rp_id: "localhost", rp_name: "Countersign" },
  groups: { finance: ["ada@example.com", "bob@example.com"] },
  apis: {
    refunds: { audience: "https://refunds.example" },
    calendar: { audience: "https://calendar.example" },
  },
  actions: {
    refund: refundAction("session"),
    "signed-refund": refundAction("passkey-signed"),
    "fresh-refund": refundAction("passkey"),
    promote: {
      api: "refunds",
      schema: {
        type: "object",
        additionalProperties: false,
        required: ["service"],
        properties: { service: { type: "string", maxLength: 40 } },
      },
      bound: ["service"],
      display: { sentence: "Promote {service}", rows: [{ label: "Service", field: "service" }] },
      reversibility: "reversible",
      approvers: { owner: { field: "service", of: { foo: "ada@example.com", bar: "bob@example.com" } } },
      level: "session",
    },
  },
  scopes: {
    "calendar.clear": {
      api: "calendar",
      sentence: "Delete every event of the past year",
      reversibility: "irreversible",
      approvers: { people: ["ada@example.com"] },
      level: "session",
    },
  },
};

/** The fields of an action of type `refund` that the configuration accepts. */
export const refund = { type: "refund", order: "A-1", amount: "10000.00", currency: "USD" };
