/**
 * Unmodified MCP clients, of both versions of the SDK, with an MCP server whose tools need approval. The MCP server announces
 * this authorization server (RFC 9728), validates its tokens as JWTs (RFC 9068), and spends one for each tool call.
 */
import assert from "node:assert/strict";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { createVerifier, type Verifier } from "@countersign/verifier";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, McpServer } from "@modelcontextprotocol/server";
import { addApi } from "../../packages/server/src/usecase/client/client-lifecycle.ts";
import { type ClientEnv, openClientEnv } from "./client-env.ts";

const scope = "mail.tools";
let env: ClientEnv;
let mcp: Server;
let url: string;
let verifier: Verifier;

before(async () => {
  mcp = createServer((request, response) => answer(request, response));
  await new Promise<void>((resolve) => mcp.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(mcp.address() as AddressInfo).port}/mcp`;
  env = await openClientEnv({
    apis: { mail: { audience: url } },
    scopes: {
      [scope]: {
        api: "mail",
        sentence: "Let it send one mail",
        reversibility: "irreversible",
        approvers: { people: ["ada@example.com"] },
        level: "session",
      },
    },
  });
  const api = await addApi(env.deployment.server.store, "mail-api", "mail");
  assert.ok("secret" in api);
  verifier = createVerifier({
    issuer: env.issuer,
    audience: url,
    clientId: "mail-api",
    clientSecret: api.secret,
    fetch: ((input: string, init?: RequestInit) =>
      env.deployment.server.fetch(new Request(input, init))) as typeof fetch,
  });
});
after(async () => {
  mcp.closeAllConnections();
  await new Promise((resolve) => mcp.close(resolve));
  assert.deepEqual(env.deployment.faults, []);
  await env.close();
});

/** Creates the tools for a caller with an unspent token. */
function tools(authorization: string) {
  const server = new McpServer({ name: "mail", version: "1.0.0" });
  server.registerTool("send_mail", { description: "Sends a mail" }, async () => {
    const spent = await verifier.spend(authorization, { type: scope }, () => "sent");
    const said = spent.outcome === "done" ? spent.result : `refused: ${spent.reason}`;
    return { content: [{ type: "text", text: said }] };
  });
  return server;
}

const answer: RequestListener = (request, response) => {
  if (request.url?.startsWith("/.well-known/oauth-protected-resource")) {
    const document = { resource: url, authorization_servers: [env.issuer], scopes_supported: [scope] };
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(document));
    return;
  }
  const { authorization } = request.headers;
  const challenge = () => {
    const metadata = new URL("/.well-known/oauth-protected-resource/mcp", url);
    response
      .writeHead(401, { "www-authenticate": `Bearer resource_metadata="${metadata}", scope="${scope}"` })
      .end();
  };
  if (!authorization) return challenge();
  verifier.check(authorization, { type: scope }).then((checked) => {
    if (checked.outcome === "rejected") return challenge();
    return toNodeHandler(createMcpHandler(() => tools(authorization)))(request, response);
  }, challenge);
};

let runs = 0;
async function play(sdk: "1" | "2", verdict: "approve" | "deny") {
  runs += 1;
  const receiver = await env.reserve();
  const client = await env.add({
    id: `mcp-${runs}`,
    types: [scope],
    credential: { method: "client_secret_basic" },
    delivery: { mode: "ping", endpoint: `https://localhost:${receiver.port}/ping` },
  });
  const running = env.run("mcp.ts", {
    SDK: sdk,
    MCP_URL: url,
    CLIENT_ID: client.id,
    CLIENT_SECRET: client.secret,
    APPROVER: "ada@example.com",
    SCOPE: scope,
    PING_PORT: String(receiver.port),
    PING_CERT: receiver.certificate,
    PING_KEY: receiver.key,
  });
  await Promise.race([env.decideNext(client.id, verdict), running]);
  return await running;
}

describe("MCP SDK", () => {
  for (const sdk of ["1", "2"] as const) {
    test(`requests approval after a 401, and calls the tool once with the token (v${sdk})`, async () => {
      const { asked, results, problem } = await play(sdk, "approve");
      assert.equal(problem, undefined);
      assert.deepEqual(results, ["sent", "refused: already_spent"], "one approval, one call");
      assert.equal(asked.length, 1);
    });

    test(`obtains no token after a denial, and calls no tool (v${sdk})`, async () => {
      const { results, problem } = await play(sdk, "deny");
      assert.deepEqual(results, []);
      assert.match(problem, /denied|access_denied/i);
    });
  }
});
