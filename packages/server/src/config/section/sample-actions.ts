import type { SampleOptions } from "../section.ts";

/** The sample's actions: a refund, and a scope in a comment. */
export function writeSampleActions({ approver }: SampleOptions): string {
  return `# What agents can ask for. Each name is the "type" in authorization_details (RFC 9396).
actions:
  refund:
    api: refunds

    # The fields that an agent sends, as JSON Schema 2020-12. Other fields are rejected. Numbers are integers, and decimals
    # are strings, so that every program reads the same amount. Every string needs a maximum length.
    schema:
      type: object
      additionalProperties: false
      required: [order, customer, amount, currency]
      properties:
        order: { type: string, maxLength: 40 }
        customer: { type: string, maxLength: 80 }
        amount: { type: string, pattern: '^[1-9][0-9]{0,6}\\.[0-9]{2}$' }
        currency: { type: string, enum: [USD, EUR] }
        reason: { type: string, maxLength: 500 }

    # Bound fields are approved, signed, put into the token, and compared with the call to the API. Advisory fields are
    # the agent's own words: they are shown as a quotation and are not part of the approval.
    bound: [order, customer, amount, currency]
    advisory: [reason]

    # After a denial, requests with the same values of these fields are denied, even if other fields differ: an agent
    # cannot ask again with another amount.
    deny_by: [order]

    # Actions that may be in one request with this one (this type included, if it is listed) and are approved together.
    # Each must name the other. Default: none.
    # combinable_with: [refund]

    # What the approver sees. Every field needs a row; a currency can be in the row of its amount.
    # as: text, money, money-minor, quantity, duration, time or list.
    display:
      sentence: "Refund {amount} to {customer} for order {order}"
      rows:
        - { label: Amount, field: amount, as: money, currency: currency }
        - { label: Customer, field: customer }
        - { label: Order, field: order }
        - { label: Reason given, field: reason }

    # Whether the action can be undone: reversible (by us), external (only with the help of others) or irreversible.
    reversibility: irreversible

    # Any one of these approvers can decide; an agent can choose among them. If the value of a field has an owner:
    #   owner: { field: customer, of: { "ACME Ltd": someone@example.com, "Initech": finance } }
    # then only the owner can decide. people and groups apply to values without an owner.
    approvers: { groups: [finance] }

    # How an approver authenticates a decision: session, passkey, or passkey-signed. With passkey-signed, the passkey signs
    # the card, and the log keeps the signature as evidence.
    level: passkey-signed

    # Seconds: the lifetime of a request until it is decided and redeemed, and the lifetime of the token (300 at most).
    lifetime: { default: 120, max: 600 }
    token_lifetime: 60

# Optional: scopes that an agent can ask for without authorization_details. A scope has no fields and a fixed sentence; the
# agent's message is quoted below it.
# scopes:
#   refunds.export:
#     api: refunds
#     sentence: Export the list of all refunds, with names and amounts
#     reversibility: irreversible
#     approvers: { people: [${JSON.stringify(approver)}] }
`;
}
