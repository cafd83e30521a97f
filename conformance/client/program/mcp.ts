/**
 * An MCP client, with version 1 or 2 of the SDK, that obtains tokens with CIBA: when the SDK needs a token, its provider sends an
 * authentication request, waits for the ping, and returns the parameters of the token request. It calls a tool twice.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:https";
import { text } from "node:stream/consumers";

const { SDK, MCP_URL = "", ISSUER = "", CLIENT_ID = "", CLIENT_SECRET = "" } = process.env;
const { PING_PORT, PING_CERT, PING_KEY, APPROVER = "", SCOPE = "" } = process.env;

const { Client, StreamableHTTPClientTransport } =
  SDK === "1"
    ? {
        ...(await import("@modelcontextprotocol/sdk/client/index.js")),
        ...(await import("@modelcontextprotocol/sdk/client/streamableHttp.js")),
      }
    : await import("@modelcontextprotocol/client");

/** Received pings by notification token. */
const pings = new Map<string, () => void>();
const receiver = createServer({ cert: PING_CERT, key: PING_KEY }, async (request, response) => {
  const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
  await text(request);
  response.writeHead(pings.has(token) ? 204 : 401).end();
  pings.get(token)?.();
});
receiver.listen(Number(PING_PORT), "127.0.0.1");
await once(receiver, "listening");

const asked: (string | undefined)[] = [];
async function askAndWait(scope: string | undefined): Promise<URLSearchParams> {
  asked.push(scope);
  const token = randomBytes(32).toString("base64url");
  const pinged = new Promise<void>((resolve) => pings.set(token, resolve));
  const response = await fetch(`${ISSUER}/bc-authorize`, {
    method: "POST",
    headers: { authorization: `Basic ${Buffer.from(`${CLIENT_ID}:${CLIENT_SECRET}`).toString("base64")}` },
    body: new URLSearchParams({
      scope: `openid ${scope ?? SCOPE}`,
      login_hint: APPROVER,
      client_notification_token: token,
      // A new request for each call, also for the same tool.
      binding_message: `Call ${asked.length}`,
    }),
  });
  const answer = (await response.json()) as { auth_req_id: string; error?: string };
  if (!response.ok) throw new Error(`the request was refused: ${answer.error}`);
  await pinged;
  return new URLSearchParams({
    grant_type: "urn:openid:params:grant-type:ciba",
    auth_req_id: answer.auth_req_id,
  });
}

let tokens: unknown;
const provider = {
  redirectUrl: undefined,
  clientMetadata: { redirect_uris: [], grant_types: ["urn:openid:params:grant-type:ciba"] },
  clientInformation: () => ({ client_id: CLIENT_ID, client_secret: CLIENT_SECRET }),
  tokens: () => tokens,
  saveTokens: (saved: unknown) => {
    tokens = saved;
  },
  invalidateCredentials: () => {
    tokens = undefined;
  },
  redirectToAuthorization: () => {
    throw new Error("this agent has no browser to redirect");
  },
  saveCodeVerifier: () => {},
  codeVerifier: () => "",
  prepareTokenRequest: askAndWait,
};

const client = new Client({ name: "unattended-agent", version: "1.0.0" });
const results: unknown[] = [];
let problem: string | undefined;
try {
  await client.connect(
    new StreamableHTTPClientTransport(new URL(MCP_URL), { authProvider: provider as any }),
  );
  for (let call = 0; call < 2; call += 1)
    results.push(((await client.callTool({ name: "send_mail", arguments: {} })) as any).content?.[0]?.text);
} catch (error) {
  problem = (error as Error).message;
}
console.log(JSON.stringify({ asked, results, problem }));
process.exit(0);
