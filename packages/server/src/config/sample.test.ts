import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseConfig } from "./config.ts";
import { writeSampleConfig } from "./sample.ts";

function parsed(text: string) {
  const read = parseConfig(text, "/etc/countersign.yaml");
  assert.ok("config" in read, JSON.stringify("problems" in read && read.problems, null, 2));
  return read.config;
}

const local = writeSampleConfig({ issuer: "http://localhost:4400", approver: "ada@example.com" });

describe("writeSampleConfig", () => {
  test("has no problem, and a refund as an example", () => {
    const config = parsed(local);
    assert.equal(config.issuer, "http://localhost:4400");
    assert.deepEqual(config.listen, { host: "127.0.0.1", port: 4400 });
    assert.equal(config.passkeys.rpId, "localhost");
    assert.deepEqual([...config.actions.keys()], ["refund"]);
    assert.deepEqual(config.groups.get("finance"), ["ada@example.com"]);
    const rule = config.actions.get("refund");
    const fields = { order: "A-1", customer: "Grace", amount: "10000.00", currency: "USD" };
    assert.equal(rule?.validate(fields), undefined);
    assert.deepEqual(rule?.validate({ ...fields, amount: "0.00" })?.path, ["amount"]);
  });

  test("has no problem with its comments uncommented", () => {
    const examples = local.replaceAll(/^# ((?: {2})*[a-z0-9._-]+:.*)$/gm, "$1");
    const config = parsed(examples);
    assert.equal(config.channels.mail?.smtp, "smtp://127.0.0.1:2525");
    assert.equal(config.actions.get("refunds.export")?.scope, "refunds.export");
    assert.equal(config.agents.get("refund-agent")?.name, "Refund desk");
  });

  test("shows the defaults of the limits in its comment", () => {
    const limits = local.replaceAll(/^# (limits:.*)$/gm, "$1");
    assert.notEqual(limits, local);
    assert.deepEqual(parsed(limits).limits, parsed(local).limits);
  });

  test("writes the passkey domain and the port of another issuer", () => {
    const own = parsed(
      writeSampleConfig({ issuer: "https://countersign.example:8443", approver: "bob@example.com" }),
    );
    assert.equal(own.passkeys.rpId, "countersign.example");
    assert.equal(own.listen.port, 8443);
    assert.equal(
      parsed(writeSampleConfig({ issuer: "https://a.example", approver: "b@a.example" })).listen.port,
      4400,
    );
  });

  test("writes an invalid issuer or approver harmlessly; it is rejected when the file is read", () => {
    for (const [issuer, approver, path] of [
      ["nonsense", "ada@example.com", "issuer"],
      ["http://countersign.example", "ada@example.com", "issuer"],
      ["http://localhost:4400", "ada\n  - : [", "groups.finance[0]"],
      ["http://localhost:4400\nlisten: 1", "ada@example.com", "issuer"],
    ] as const) {
      const read = parseConfig(writeSampleConfig({ issuer, approver }), "countersign.yaml");
      assert.ok("problems" in read);
      assert.deepEqual(
        read.problems.map((problem) => problem.path),
        [path],
      );
    }
  });
});
