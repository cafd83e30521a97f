/** The configuration that `countersign init` writes: one action to play with, and comments that teach the rest. */

/**
 * The text of a first `countersign.yaml`. `issuer` is the URL that clients will use, without a slash at its end;
 * `approver` is the e-mail address of the one who may approve the refund in it.
 */
export function writeSampleConfig({
  issuer,
  approver,
}: {
  readonly issuer: string;
  readonly approver: string;
}): string {
  // An issuer that is no URL is written as it was given: reading the file says what is wrong with it.
  const { hostname, port, protocol } = new URL(URL.canParse(issuer) ? issuer : "http://localhost:4400");
  // Behind https without a port there is a proxy in front, and any port will do.
  const listenPort = port || (protocol === "http:" ? "80" : "4400");
  // JSON strings are YAML strings, whatever they hold.
  const [name, domain, email, origin] = [issuer, hostname, approver, `${hostname}/countersign`].map((value) =>
    JSON.stringify(value),
  );
  return `# Countersign: who may approve what. This file holds rules and no secrets. Approvers, their passkeys and the credentials
# of APIs are kept in the store and added by command: countersign approver invite, api add. Agents are, too (agent add),
# or stand at the end of this file.
# After a change: countersign check. It names line and remedy of whatever is wrong.

# The URL that agents, APIs and approvers use. Tokens carry it, so that it is written here and never guessed.
# https, except on localhost.
issuer: ${name}
listen: { host: 127.0.0.1, port: ${listenPort} }

# In clear, for a proxy in front that ends TLS. Or TLS here: listen: { ..., tls: { certificate: FILE, key: FILE } }
# Agents that prove themselves by a certificate go to a URL of their own, mtls: docs/operations/tls.md shows how.

# Paths are relative to this file. The key encrypts what the store must not hold in clear: back it up elsewhere, and
# never together with the store. The environment variable COUNTERSIGN_KEY can take its place.
store: ./countersign-data/countersign.db
key_file: ./countersign-data/countersign.key

# Approvers decide with passkeys, which belong to a domain: the issuer's, or a parent of it. It cannot be changed
# later without enrolling everybody again.
passkeys: { rp_id: ${domain}, rp_name: Countersign }

# Each signed checkpoint of the log is appended to this file. Copy it to another machine as it grows: whatever is
# covered by a checkpoint that is kept elsewhere cannot be changed unnoticed. The log's name is in each of them and stays.
log: { origin: ${origin}, checkpoint_file: ./countersign-data/checkpoints.txt }

# People by e-mail address. The rules below name people or groups.
groups:
  finance: [${email}]

# What the tokens are good for. Each API has an audience of its own and spends only tokens made for it.
apis:
  refunds: { audience: https://refunds.example }

# How approvers are reached when they are not looking at the page. A password goes into a file: password_file.
# channels:
#   mail: { smtp: "smtp://127.0.0.1:2525", from: "Countersign <countersign@example.com>" }

# Optional, here with the defaults: open requests per agent, its requests in an hour, seconds between an agent's polls.
# limits: { max_pending_per_agent: 20, max_requests_per_hour: 60, poll_interval: 5 }

# Optional, here with the defaults: what is said on standard error, from info, warn or error on, and whether each answer is.
# logging: { level: info, access_log: false }

# Optional: where Prometheus asks for /metrics, on this machine.
# metrics: { port: 9400 }

# Optional: where agents may be called (ping, push) and publish their keys, beside https on public addresses.
# outbound: { allow_private: [10.1.0.0/16], ca_file: ./inside-ca.pem }

# Optional: whether the DPoP proofs of agents need a nonce of this server's. It costs some clients one poll.
# dpop: { require_nonce: false }

# Optional: whether agents that are registered for user codes must send the code of the person they ask. People get one
# with countersign approver code.
# user_codes: true

# Optional: who else may say whom an agent should ask, in a signed login_hint_token; their public keys are in the file.
# login_hint_issuers:
#   https://hr.example: { jwks_file: ./hr-keys.json }

# What agents may ask for. Each name is the "type" in authorization_details (RFC 9396).
actions:
  refund:
    api: refunds

    # The fields that an agent must send, as JSON Schema 2020-12. Nothing else is let through. Numbers are integers, and
    # decimals are strings, so that no two programs read different amounts. Every text has a bound.
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

    # Bound fields are approved, signed, put into the token, and compared with the call that the API is about to make.
    # Advisory fields are the agent's own words: shown as a quotation, and never part of what is approved.
    bound: [order, customer, amount, currency]
    advisory: [reason]

    # A denial holds for these fields, whatever the others are: no second try with another amount.
    deny_by: [order]

    # Actions that may be asked for in one request and approved as one, refund itself perhaps among them. Each must name the
    # other. Without it a refund is always asked for alone.
    # combinable_with: [refund]

    # What the approver sees. Every field has a row (a currency may be shown with its amount).
    # Shown as: text, money, money-minor, quantity, duration, time, list.
    display:
      sentence: "Refund {amount} to {customer} for order {order}"
      rows:
        - { label: Amount, field: amount, as: money, currency: currency }
        - { label: Customer, field: customer }
        - { label: Order, field: order }
        - { label: Reason given, field: reason }

    # Can it be taken back? reversible (by us), external (with someone's help), irreversible.
    reversibility: irreversible

    # Any one of these may decide; an agent can choose among them, and nobody else. Where the owner of a thing decides:
    #   owner: { field: customer, of: { "ACME Ltd": someone@example.com, "Initech": finance } }
    # The owner then decides alone; people and groups stand in for values that have no owner.
    approvers: { groups: [finance] }

    # How an approver proves who decides: session, passkey, or passkey-signed, where the passkey signs this very card and
    # the log keeps the signature as evidence.
    level: passkey-signed

    # Seconds in which to decide and redeem, and seconds that the token is good for (300 at most).
    lifetime: { default: 120, max: 600 }
    token_lifetime: 60

# An agent may also ask for a bare scope, if it is declared here as an action of its own. It has no fields; the
# sentence is fixed, and the agent's message is quoted below it.
# scopes:
#   refunds.export:
#     api: refunds
#     sentence: Export the list of all refunds, with names and amounts
#     reversibility: irreversible
#     approvers: { people: [${email}] }

# Which agents may ask whom for what, beside the rules above; another server can be asked, too. See docs/operations/people-and-agents.md.
# permission:
#   relations:
#     agents: [{ agents: [refund-agent], types: [refund], of: { groups: [finance] } }]

# Agents can be declared here, for those who keep them under version control: with client metadata as the specifications
# spell it, and a secret by its hash alone. countersign agent hash-secret --new makes one. Only this file changes them then.
# agents:
#   refund-agent:
#     name: Refund desk
#     types: [refund]
#     secret_sha256: "0000000000000000000000000000000000000000000000000000000000000000"
`;
}
