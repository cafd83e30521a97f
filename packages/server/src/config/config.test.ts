import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { replaceConfigText } from "@countersign/testing/server/edit-config";
import { type ConfigProblem, formatProblem, loadConfig, parseConfig } from "./config.ts";

const validConfig = `issuer: https://id.example.com
listen: { host: 0.0.0.0, port: 8080 }
store: data/store.db
key_file: /run/secrets/countersign.key
passkeys: { rp_id: example.com, rp_name: Example }
log: { origin: example.com/log, checkpoint_file: checkpoints.txt }
groups:
  finance: [ada@example.com, bob@example.com]
apis:
  refunds: { audience: https://refunds.example }
channels:
  mail: { smtp: "smtps://countersign@mail.example:465", from: "Countersign <c@example.com>", password_file: mail.pw }
limits: { max_pending_per_agent: 5, max_requests_per_hour: 30, poll_interval: 2 }
actions:
  refund:
    api: refunds
    schema:
      type: object
      additionalProperties: false
      required: [order, amount, currency]
      properties:
        order: { type: string, maxLength: 40 }
        amount: { type: string, maxLength: 20 }
        currency: { type: string, enum: [USD] }
        reason: { type: string, maxLength: 500 }
    bound: [order, amount, currency]
    advisory: [reason]
    deny_by: [order]
    display:
      sentence: "Refund {amount} for order {order}"
      rows:
        - { label: Amount, field: amount, as: money, currency: currency }
        - { label: Order, field: order }
        - { label: Reason, field: reason, as: text }
    reversibility: external
    approvers: { people: [eve@example.com], groups: [finance], owner: { field: order, of: { A-1: finance } } }
    level: passkey
    lifetime: { default: 60, max: 120 }
    token_lifetime: 30
scopes:
  refunds.export:
    api: refunds
    sentence: Export all refunds
    approvers: { groups: [finance] }
dpop: { require_nonce: true }
outbound: { allow_private: [10.1.0.0/16], allow_http: true, ca_file: inside-ca.pem }
user_codes: true
logging: { level: warn, access_log: true }
login_hint_issuers:
  https://hr.example: { jwks_file: hr.json }
  https://idp.example/: { jwks_uri: https://idp.example/jwks }
registration: { enabled: true }
permission:
  timeout: 3
  relations: { approvers: [{ groups: [finance] }] }
  authzen: { url: "https://pdp.example/", token_file: pdp.token, batch: true }
`;

function parseProblems(text: string): readonly ConfigProblem[] {
  const read = parseConfig(text, "/etc/countersign/countersign.yaml");
  return "problems" in read ? read.problems : [];
}

/** Returns the configuration text after a change. */
const edit = (from: string | RegExp, to: string) => replaceConfigText(validConfig, from, to);

/** Returns the only problem after a change to the text, as "line:column path: message". */
function problem(from: string | RegExp, to: string): string {
  const problems = parseProblems(edit(from, to));
  assert.equal(problems.length, 1, JSON.stringify(problems, null, 2));
  const { line, column, path, message, remedy } = problems[0]!;
  assert.ok(remedy.length > 0);
  return `${line}:${column} ${path}: ${message}`;
}

function parseValidConfig(text: string) {
  const read = parseConfig(text, "/etc/countersign/countersign.yaml");
  assert.ok("config" in read, JSON.stringify("problems" in read && read.problems, null, 2));
  return read.config;
}

describe("parseConfig", () => {
  test("returns the whole file as one value, with paths relative to the file", () => {
    const { actions, agents, groups, apis, loginHintIssuers, ...rest } = parseValidConfig(validConfig);
    assert.equal(agents.size, 0);
    assert.deepEqual(rest, {
      issuer: "https://id.example.com",
      listen: { host: "0.0.0.0", port: 8080 },
      store: "/etc/countersign/data/store.db",
      keyFile: "/run/secrets/countersign.key",
      passkeys: { rpId: "example.com", rpName: "Example", origin: "https://id.example.com" },
      log: { origin: "example.com/log", checkpointFile: "/etc/countersign/checkpoints.txt" },
      channels: {
        mail: {
          smtp: "smtps://countersign@mail.example:465",
          from: "Countersign <c@example.com>",
          passwordFile: "/etc/countersign/mail.pw",
        },
      },
      dpop: { requireNonce: true },
      limits: { maxPendingPerAgent: 5, maxRequestsPerHour: 30, pollIntervalSeconds: 2 },
      outbound: { allowPrivate: ["10.1.0.0/16"], allowHttp: true, caFile: "/etc/countersign/inside-ca.pem" },
      userCodes: true,
      logging: { level: "warn", accessLog: true },
      permission: {
        timeLimitMs: 3000,
        relations: { approvers: [{ people: [], groups: ["finance"], where: {} }] },
        backend: {
          kind: "authzen",
          url: "https://pdp.example",
          batch: true,
          tokenFile: "/etc/countersign/pdp.token",
        },
      },
      registration: { enabled: true },
    });
    assert.deepEqual([...groups], [["finance", ["ada@example.com", "bob@example.com"]]]);
    assert.deepEqual([...apis], [["refunds", { audience: "https://refunds.example" }]]);
    assert.deepEqual(Object.fromEntries(loginHintIssuers), {
      "https://hr.example": { jwksFile: "/etc/countersign/hr.json" },
      "https://idp.example/": { jwksUri: "https://idp.example/jwks" },
    });
    assert.deepEqual([...actions.keys()], ["refund", "refunds.export"]);
  });

  test("returns an action of the file as a policy of its API", () => {
    const rule = parseValidConfig(validConfig).actions.get("refund");
    assert.ok(rule);
    assert.equal(rule.definition.audience, "https://refunds.example");
    assert.equal(rule.definition.reversibility, "external");
    assert.equal(rule.definition.level, "passkey");
    assert.deepEqual(rule.definition.rows[1], { label: "Order", field: "order", as: "text" });
    assert.deepEqual(rule.lifetimeSeconds, { default: 60, max: 120 });
    assert.equal(rule.tokenLifetimeSeconds, 30);
    assert.deepEqual(rule.approvers.owner, { field: "order", of: { "A-1": "finance" } });
    assert.equal(rule.scope, undefined);
  });

  test("combines actions only if both allow it, and for one API", () => {
    const two = `${validConfig.slice(0, validConfig.indexOf("actions:"))}actions:\n`;
    const action = (type: string, names: string, api = "refunds") => {
      const one = validConfig.slice(validConfig.indexOf("  refund:\n"), validConfig.indexOf("scopes:"));
      const named = replaceConfigText(one, "  refund:\n", `  ${type}:\n    combinable_with: ${names}\n`);
      return api === "refunds" ? named : replaceConfigText(named, "api: refunds", `api: ${api}`);
    };
    const both = `${two}${action("refund", "[refund, credit]")}${action("credit", "[refund]")}`;
    assert.deepEqual(parseValidConfig(both).actions.get("refund")?.combinableWith, ["refund", "credit"]);
    assert.deepEqual(parseValidConfig(validConfig).actions.get("refund")?.combinableWith, []);
    assert.equal(
      parseValidConfig(both).actions.get("refund")?.hash,
      parseValidConfig(validConfig).actions.get("refund")?.hash,
      "combinable_with is not part of the type",
    );
    const formatProblems = (text: string) =>
      parseProblems(text).map(({ path, message }) => `${path}: ${message}`);
    const at = "actions.refund.combinable_with[0]";
    const credit = action("credit", "[]");
    assert.deepEqual(formatProblems(`${two}${action("refund", "[credit]")}${credit}`), [
      `${at}: credit does not name refund in turn`,
    ]);
    assert.deepEqual(formatProblems(`${two}${action("refund", "[credid]")}${credit}`), [
      `${at}: no action is called credid`,
    ]);
    assert.deepEqual(formatProblems(`${two}${action("refund", "[refund, refund]")}`), [
      "actions.refund.combinable_with[1]: refund is listed twice",
    ]);
    const apis = "apis:\n  other: { audience: https://other.example }\n";
    const apart = `${two}${action("refund", "[credit]")}${action("credit", "[refund]", "other")}`;
    assert.deepEqual(formatProblems(replaceConfigText(apart, "apis:\n", apis)), [
      `${at}: credit belongs to another API; combined actions must share one API`,
      "actions.credit.combinable_with[0]: refund belongs to another API; combined actions must share one API",
    ]);
    const scope = edit("    bound:", "    combinable_with: [refunds.export]\n    bound:");
    assert.deepEqual(formatProblems(scope), [`${at}: no action is called refunds.export`]);
  });

  test("returns a scope of the file as a policy without fields", () => {
    const rule = parseValidConfig(validConfig).actions.get("refunds.export");
    assert.ok(rule);
    assert.equal(rule.scope, "refunds.export");
    assert.equal(rule.definition.type, "refunds.export");
    assert.deepEqual([rule.definition.bound, rule.definition.rows, rule.definition.denyBy], [[], [], []]);
    assert.equal(rule.validate({}), undefined);
    assert.deepEqual(rule.validate({ order: "A-1" })?.path, ["order"]);
  });

  test("accepts a minimal file", () => {
    const config = parseValidConfig("issuer: http://localhost:4400\npasskeys: { rp_id: localhost }\n");
    assert.deepEqual(config.listen, { host: "127.0.0.1", port: 4400 });
    assert.equal(config.store, "/etc/countersign/countersign-data/countersign.db");
    assert.equal(config.keyFile, "/etc/countersign/countersign-data/countersign.key");
    assert.deepEqual(config.log, { origin: "localhost/countersign" });
    assert.deepEqual(config.channels, {});
    assert.deepEqual(config.limits, {
      maxPendingPerAgent: 20,
      maxRequestsPerHour: 60,
      pollIntervalSeconds: 5,
    });
    assert.deepEqual(config.outbound, { allowPrivate: [], allowHttp: false });
    assert.equal(config.actions.size, 0);
  });

  test("accepts only address ranges in allow_private", () => {
    assert.match(
      problem("10.1.0.0/16", "10.1.0.0"),
      /outbound.allow_private\[0\]: this is not a range of addresses/,
    );
    assert.match(
      problem("allow_http: true", "allow_http: maybe"),
      /outbound.allow_http: this is neither true nor false/,
    );
  });

  test("requires one source of keys, which can be fetched, per login hint issuer", () => {
    const at = "login_hint_issuers.https://idp.example/";
    const uri = "{ jwks_uri: https://idp.example/jwks }";
    assert.match(
      problem(uri, "{}"),
      /login_hint_issuers.https:\/\/idp.example\/: exactly one of jwks_file and jwks_uri is required/,
    );
    assert.ok(
      problem(uri, "{ jwks_uri: https://idp.example/jwks, jwks_file: a }").includes(
        `${at}: exactly one of jwks_file and jwks_uri is required`,
      ),
    );
    for (const url of ["ftp://idp.example/jwks", "https://127.0.0.1/jwks", "jwks"])
      assert.ok(problem(uri, `{ jwks_uri: "${url}" }`).includes(`${at}.jwks_uri: the URL cannot be used`));
    assert.ok(
      problem("https://hr.example:", "hr:").includes("login_hint_issuers.hr: the issuer is not a URL"),
    );
    assert.ok(problem("user_codes: true", "user_codes: 1").includes("user_codes: this has the wrong form"));
  });

  test("freezes the configuration deeply", () => {
    const config = parseValidConfig(validConfig);
    assert.throws(() => Object.assign(config.listen, { port: 1 }), TypeError);
    assert.throws(() => (config.actions as Map<string, unknown>).set("x", 1), TypeError);
    assert.throws(() => (config.groups as Map<string, unknown>).clear(), TypeError);
    assert.throws(() => (config.apis as Map<string, unknown>).delete("refunds"), TypeError);
    assert.throws(() => (config.groups.get("finance") as string[]).push("mallory@example.com"), TypeError);
    assert.throws(() => Object.assign(config.actions.get("refund")!.definition, { bound: [] }), TypeError);
  });

  test("rejects a renamed key with its new name, only in the section that has the new one", () => {
    const remedyOf = (text: string) => parseProblems(text)[0]?.remedy;
    assert.equal(remedyOf(edit("deny_by:", "subject:")), "subject is now called deny_by");
    assert.match(remedyOf(edit("store:", "requests: 1\nstore:")) ?? "", /^known: issuer, listen, /);
  });

  test("rejects an unknown key, and suggests the closest one", () => {
    assert.equal(
      problem("token_lifetime:", "token_lifetme:"),
      "39:5 actions.refund.token_lifetme: unknown key token_lifetme",
    );
    assert.equal(problem("store: data", "stores: data"), "3:1 stores: unknown key stores");
    assert.equal(problem("origin:", "orign:"), "6:8 log.orign: unknown key orign");
    const [unknown] = parseProblems(edit("token_lifetime:", "token_lifetme:"));
    assert.equal(unknown?.remedy, "did you mean token_lifetime?");
  });

  test("reports problems of other sections beside a value of the wrong form", () => {
    const text = validConfig
      .replace("port: 8080", "port: 80800")
      .replace("bob@example.com", "bob")
      .replace("api: refunds\n    schema", "api: refund\n    schema")
      .replace("timeout: 3", "timeout: 300");
    assert.deepEqual(
      parseProblems(text).map(({ path }) => path),
      ["listen.port", "groups.finance[1]", "actions.refund.api", "permission.timeout"],
    );
  });

  test("rejects a missing key at its section", () => {
    assert.equal(
      problem("    bound: [order, amount, currency]\n", ""),
      "15:3 actions.refund.bound: bound is missing",
    );
    assert.equal(problem("issuer: https://id.example.com\n", ""), "1:1 issuer: issuer is missing");
    assert.equal(
      problem("label: Order, ", ""),
      "33:11 actions.refund.display.rows[1].label: label is missing",
    );
  });

  test("rejects a value of the wrong form at its position", () => {
    assert.equal(problem("port: 8080", "port: 80800"), "2:26 listen.port: this is not a port");
    assert.equal(problem("port: 8080", 'port: "8080"'), "2:26 listen.port: this is not a port");
    assert.equal(
      problem("bound: [order, amount, currency]", "bound:"),
      "26:5 actions.refund.bound: this is empty",
    );
    assert.equal(problem("as: text", "as: txt"), "34:43 actions.refund.display.rows[2].as: invalid value");
    assert.equal(problem("level: passkey", "level: password"), "37:5 actions.refund.level: invalid value");
    assert.equal(problem("bob@example.com", "bob"), "8:30 groups.finance[1]: this is not an e-mail address");
    assert.equal(
      problem("finance: [ada@example.com, bob@example.com]", "finance: []"),
      "8:3 groups.finance: the group is empty",
    );
    assert.equal(
      problem("Countersign <c@example.com>", "C\\r\\nBcc: x <c@example.com>"),
      "12:57 channels.mail.from: this is not a sender",
    );
    assert.equal(
      problem("max_pending_per_agent: 5", "max_pending_per_agent: 0"),
      "13:11 limits.max_pending_per_agent: this is not a limit of requests",
    );
  });

  test("rejects duplicate keys instead of using the last one", () => {
    assert.equal(
      problem("    deny_by: [order]\n", "    deny_by: [order]\n    bound: [order]\n"),
      "29:5 : Map keys must be unique",
    );
  });

  test("rejects an alias: a policy must be complete where it is reviewed", () => {
    const anchored = edit("bound: [order, amount, currency]", "bound: &fields [order, amount, currency]");
    const aliased = replaceConfigText(anchored, "deny_by: [order]", "subject: *fields");
    assert.deepEqual(
      parseProblems(aliased).map(({ line, message }) => `${line} ${message}`),
      ["28 the alias *fields is not supported"],
    );
    const inItself = replaceConfigText(
      edit("schema:", "schema: &self"),
      "type: object",
      "type: object\n      not: *self",
    );
    assert.match(parseProblems(inItself)[0]!.message, /^the alias \*self is not supported$/);
  });

  test("rejects text that is not YAML, with its line", () => {
    assert.match(
      problem("    bound: [order, amount, currency]", "    bound: [order, amount, currency"),
      /^2[67]:\d+ : /,
    );
    assert.match(problem("listen:", "\tlisten:"), /^2:\d+ : /);
    assert.match(problem(/$/, "---\nmore: 1\n"), /: Source contains multiple documents/);
    assert.match(
      problem("finance: [ada", "__proto__: [ada@example.com]\n  finance: [ada"),
      /^8:3 : __proto__ cannot be a key$/,
    );
    assert.match(problem("as: money", "as: !!money money"), /^32:\d+ : Unresolved tag/);
    for (const text of ["- a", "just text"])
      assert.equal(parseProblems(text)[0]?.message, "this has the wrong form");
    assert.equal(parseProblems("")[0]?.message, "this is empty");
  });

  test("rejects an undeclared API or group", () => {
    assert.equal(
      problem("api: refunds\n    schema", "api: refund\n    schema"),
      "16:5 actions.refund.api: no API is called refund",
    );
    assert.equal(
      problem("approvers: { groups: [finance] }", "approvers: { groups: [finanz] }"),
      "44:27 scopes.refunds.export.approvers.groups[0]: no group is called finanz",
    );
    assert.equal(
      problem("A-1: finance", "A-1: finanz"),
      "36:93 actions.refund.approvers.owner.of.A-1: no group is called finanz",
    );
    assert.match(problem("A-1: finance", 'A-1: "eve @"'), /: this is neither an e-mail address nor a group$/);
  });

  test("rejects an action that no approver may approve (T27)", () => {
    assert.equal(
      problem("approvers: { groups: [finance] }", "approvers: {}"),
      "44:5 scopes.refunds.export.approvers: no approvers are configured for this action",
    );
  });

  test("reports a problem of a declaration with its position in the file", () => {
    assert.equal(
      problem("        - { label: Reason, field: reason, as: text }\n", ""),
      "27:16 actions.refund.advisory[0]: the advisory field reason is not displayed",
    );
    assert.equal(
      problem("token_lifetime: 30", "token_lifetime: 301"),
      "39:5 actions.refund.token_lifetime: invalid lifetime of a token",
    );
    assert.equal(
      problem("default: 60", "default: 121"),
      "38:17 actions.refund.lifetime.default: the default of 121 s is beyond the maximum of 120 s",
    );
    assert.equal(
      problem("order: { type: string, maxLength: 40 }", "order: { type: string }"),
      "22:9 actions.refund.schema.properties.order: the length of this text has no limit",
    );
    assert.equal(
      problem("maxLength: 20", "maxLength: 20, minLength: 9007199254740993"),
      "23:48 actions.refund.schema.properties.amount.minLength: numbers must be integers that JSON represents exactly",
    );
  });

  test("rejects a scope with the name of an action, or with fields", () => {
    assert.match(
      problem("  refunds.export:", "  refund:"),
      /^41:3 scopes\.refund: refund is already the name of an action$/,
    );
    assert.match(problem("  refunds.export:", "  offline_access:"), /is reserved by OpenID Connect$/);
    assert.match(problem("  refunds.export:", "  refunds export:"), /is not a valid action name$/);
    assert.match(problem("Export all refunds", '"Export {order}"'), /a scope has no fields/);
  });

  test("accepts http on this machine only", () => {
    assert.match(
      problem("https://id.example.com", "http://id.example.com"),
      /^1:1 issuer: http is not secure: tokens could be read and requests changed in transit/,
    );
    for (const host of ["localhost", "localhost:4400", "app.localhost:4400"])
      assert.deepEqual(parseProblems(`issuer: http://${host}\npasskeys: { rp_id: localhost }\n`), []);
  });

  test("accepts one exact spelling of an issuer, without query, fragment or credentials", () => {
    for (const issuer of [
      "https://id.example.com/",
      "https://ID.example.com",
      "https://id.example.com:443",
      "https://id.example.com/a/../b",
    ])
      assert.match(
        problem("https://id.example.com", issuer),
        /^1:1 issuer: the issuer is not in canonical form$/,
      );
    for (const issuer of [
      "https://id.example.com?a=1",
      "'https://id.example.com#'",
      "https://a:b@id.example.com",
    ])
      assert.match(
        problem("https://id.example.com", issuer),
        /^1:1 issuer: the issuer has a query, a fragment or cred/,
      );
    for (const issuer of ["id.example.com", "ftp://id.example.com", "/issuer"])
      assert.match(problem("https://id.example.com", issuer), /^1:1 issuer: the issuer is not a URL$/);
    assert.match(
      problem("https://id.example.com", "https://id.example.com/sign"),
      /^1:1 issuer: the issuer has a path/,
    );
  });

  test("requires an rp_id that is the issuer's domain or a parent that is not shared", () => {
    assert.match(
      problem("rp_id: example.com", "rp_id: other.example"),
      /^5:13 passkeys\.rp_id: other\.example is not the issuer's/,
    );
    assert.match(problem("rp_id: example.com", "rp_id: ample.com"), /is not the issuer's domain/);
    assert.match(problem("rp_id: example.com", "rp_id: com"), /is a top-level domain$/);
    assert.match(
      problem("https://id.example.com", "http://127.0.0.1:4400"),
      /browsers do not support passkeys for IP addresses/,
    );
    assert.match(
      problem("https://id.example.com", "https://[2001:db8::1]"),
      /browsers do not support passkeys for IP addresses/,
    );
  });

  test("rejects two APIs with one audience", () => {
    const second =
      "  refunds: { audience: https://refunds.example }\n  other: { audience: https://refunds.example }\n";
    assert.match(
      problem(/ {2}refunds: \{ audience.*\n/, second),
      /^11:12 apis\.other\.audience: the API refunds has the same audience, so it could spend tokens for other$/,
    );
    for (const audience of ["refunds", '"https://refunds.example#x"', '"https://refunds.example/ä"'])
      assert.match(
        problem("https://refunds.example", audience),
        /^10:14 apis\.refunds\.audience: the audience is not/,
      );
  });

  test("rejects a password in the file", () => {
    assert.match(
      problem("countersign@mail.example", "countersign:hunter2@mail.example"),
      /^12:11 channels\.mail\.smtp: the URL contains a password, which must not be in this file$/,
    );
    assert.match(problem("smtps://countersign@mail.example:465", "mail.example"), /invalid mail server URL$/);
  });

  test("reports all problems at once, in the order of the file", () => {
    const edits = [
      ["port: 8080", "port: x"],
      ["finance: [ada@example.com", "finance: [ada"],
      ["{amount} for", "{amonut} for"],
      ["approvers: { groups: [finance] }", "approvers: {}"],
    ] as const;
    const text = edits.reduce((edited, [from, to]) => replaceConfigText(edited, from, to), validConfig);
    assert.deepEqual(
      parseProblems(text).map(({ line }) => line),
      [2, 8, 30, 44],
    );
  });

  test("formats a problem as one line: file, position, message and remedy", () => {
    const [first] = parseProblems(edit("store: data", "stor: data"));
    assert.equal(
      formatProblem(first!),
      "/etc/countersign/countersign.yaml:3:1: stor: unknown key stor; did you mean store?",
    );
  });

  test("reads a file from disk, and reports a missing file as a problem", (t) => {
    const directory = mkdtempSync(join(tmpdir(), "countersign-config-"));
    t.after(() => rmSync(directory, { recursive: true }));
    const file = join(directory, "countersign.yaml");
    const missing = loadConfig(file);
    assert.ok("problems" in missing);
    assert.equal(missing.problems[0]?.message, "the file does not exist");
    writeFileSync(file, validConfig);
    const read = loadConfig(file);
    assert.ok("config" in read);
    assert.equal(read.config.store, join(directory, "data/store.db"));
    const unreadable = loadConfig(directory);
    assert.ok("problems" in unreadable);
    assert.match(unreadable.problems[0]!.message, /cannot be read \(EISDIR\)/);
  });
});
