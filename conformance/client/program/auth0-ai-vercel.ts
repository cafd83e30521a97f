/**
 * `@auth0/ai-vercel` in the Vercel AI SDK: a tool behind `withAsyncAuthorization`, and a model that always calls it. In `block`
 * mode the package polls at the server's interval.
 */
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { Auth0AI, getAsyncAuthorizationCredentials, setAIContext } = require("@auth0/ai-vercel");
const { generateText, stepCountIs, tool } = require("ai");
const { MockLanguageModelV2 } = require("ai/test");
// The package requires a schema of zod 3.
const { z } = require("zod/v3");

const { DOMAIN, CLIENT_ID, CLIENT_SECRET, APPROVER, DETAILS = "[]" } = process.env;
const auth0AI = new Auth0AI({ auth0: { domain: DOMAIN, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET } });
const authorized = auth0AI.withAsyncAuthorization({
  userID: () => APPROVER,
  bindingMessage: () => "Ticket 5512",
  scopes: [],
  authorizationDetails: () => JSON.parse(DETAILS),
  requestedExpiry: 120,
  onAuthorizationRequest: "block",
});

let credentials: unknown;
const refund = authorized(
  tool({
    description: "Refund an order",
    inputSchema: z.object({ order: z.string() }),
    execute: async () => {
      credentials = getAsyncAuthorizationCredentials();
      return "refunded";
    },
  }),
);

const usage = { inputTokens: 1, outputTokens: 1, totalTokens: 2 };
const call = { type: "tool-call", toolCallId: "call-1", toolName: "refund", input: '{"order":"A-1"}' };
const steps = [
  { content: [call], finishReason: "tool-calls", usage, warnings: [] },
  { content: [{ type: "text", text: "Done." }], finishReason: "stop", usage, warnings: [] },
];
setAIContext({ threadID: "thread-1" });
const { steps: taken } = await generateText({
  model: new MockLanguageModelV2({ doGenerate: async () => steps.shift() }),
  tools: { refund },
  stopWhen: stepCountIs(2),
  prompt: "Refund the order",
});
const [result] = taken[0].content.filter(({ type }: { type: string }) => type === "tool-result");
const output = result?.output;
console.log(
  JSON.stringify({ credentials, output: output instanceof Error ? { code: (output as any).code } : output }),
);
