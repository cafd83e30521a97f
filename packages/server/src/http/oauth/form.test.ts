/** Forms of protocol requests, without a server: how malformed, oversized and incomplete bodies are rejected. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { useEndpoints } from "@countersign/testing/endpoint/use-endpoints";
import { toBasicAuth } from "@countersign/testing/server/deployment";

const endpoints = useEndpoints();
const formType = "application/x-www-form-urlencoded";

const invalid: readonly (readonly [string, string, RegExp, string?])[] = [
  ["a repeated parameter", "grant_type=a&grant_type=a", /repeated/],
  ["a repeated empty parameter", "auth_req_id=&auth_req_id=", /repeated/],
  ["an incomplete percent escape", "grant_type=%", /UTF-8/],
  ["bytes that are not UTF-8", "grant_type=%ff%fe", /UTF-8/],
  ["a NUL character", "grant_type=%00", /NUL/],
  ["an empty body", "", /missing/],
  ["another media type", "{}", /the body must be/, "application/json"],
];

const send = (body: ReadableStream) =>
  endpoints.call("/oauth/token", {
    body,
    headers: { ...toBasicAuth(endpoints.agent), "content-type": formType },
    duplex: "half",
  } as RequestInit);

describe("form", () => {
  for (const path of ["/oauth/token", "/bc-authorize", "/spend", "/introspect"] as const)
    for (const [name, body, description, type = formType] of invalid)
      test(`rejects ${name} at ${path} with invalid_request`, async () => {
        const client = path === "/spend" || path === "/introspect" ? endpoints.api : endpoints.agent;
        const headers = { ...toBasicAuth(client), "content-type": type };
        const reply = await endpoints.post(path, body, headers);
        assert.deepEqual([reply.status, reply.body.error], [400, "invalid_request"]);
        assert.match(reply.body.error_description, description);
      });

  test("rejects a body over the limit with 413, whether or not its length is declared", async () => {
    const declared = await endpoints.post(
      "/oauth/token",
      `x=${"y".repeat(70_000)}`,
      toBasicAuth(endpoints.agent),
    );
    assert.equal(declared.status, 413);
    const endless = new ReadableStream({
      pull: (controller) => controller.enqueue(new TextEncoder().encode("y".repeat(16_384))),
    });
    assert.equal((await send(endless)).status, 413);
  });

  test("rejects a body that ends early with invalid_request, not with a fault", async () => {
    const interrupted = new ReadableStream({
      start: (controller) => {
        controller.enqueue(new TextEncoder().encode("grant_type="));
        controller.error(new Error("aborted"));
      },
    });
    const reply = await send(interrupted);
    assert.deepEqual([reply.status, reply.body.error], [400, "invalid_request"]);
  });
});
