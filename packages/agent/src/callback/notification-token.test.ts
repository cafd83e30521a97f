import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createNotificationTokens } from "./notification-token.ts";

const agent = { issuer: "https://as.example", clientId: "refunder" };
const secret = "a secret of at least 32 characters";
const tokens = createNotificationTokens(secret, agent);

describe("createNotificationTokens", () => {
  test("fits into a request and a header, has 256 bits, and names its request", async () => {
    for (const key of ["ticket-4711", crypto.randomUUID(), "!", "~".repeat(255)]) {
      const token = await tokens.make(key);
      assert.match(token, /^[A-Za-z0-9._~+/-]+=*$/);
      assert(token.length <= 1024);
      assert.equal(token.split(".")[1]?.length, 43);
      assert.equal(await tokens.read(token), key);
    }
  });

  test("makes and verifies the same token in another process with the same secret (T21)", async () => {
    const other = createNotificationTokens(secret, agent);
    assert.equal(await other.make("ticket-4711"), await tokens.make("ticket-4711"));
    assert.equal(await other.read(await tokens.make("ticket-4711")), "ticket-4711");
  });

  test("rejects a token of another agent, issuer, secret or request, and any other text", async () => {
    const token = await tokens.make("ticket-4711");
    const [name, stamp = ""] = token.split(".");
    for (const [other, by] of [
      [secret, { ...agent, clientId: "payer" }],
      [secret, { ...agent, issuer: "https://evil.example" }],
      [`${secret}!`, agent],
    ] as const)
      assert.equal(await createNotificationTokens(other, by).read(token), undefined);
    const swapped = `${(await tokens.make("ticket-4712")).split(".")[0]}.${stamp}`;
    for (const odd of [
      "",
      ".",
      "ticket-4711",
      swapped,
      `${name}.`,
      `.${stamp}`,
      `${token}A`,
      `${name}.${stamp.slice(0, -1)}`,
      `${name}.${"A".repeat(43)}`,
      `${name}.${stamp}.${stamp}`,
      `${"A".repeat(2000)}.${stamp}`,
    ])
      assert.equal(await tokens.read(odd), undefined, odd);
  });
});
