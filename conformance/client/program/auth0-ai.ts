/**
 * `@auth0/ai` by itself: an authorizer around a plain function, in its default mode, `interrupt`. The first call asks and
 * throws; calls after that make one token request each, and the function runs once there is a token. Its ES modules do
 * not load in Node (their imports have no extensions), and so it is required.
 */
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

const require = createRequire(import.meta.url);
const { AsyncAuthorizerBase, getAsyncAuthorizationCredentials } = require("@auth0/ai/AsyncAuthorization");
const { MemoryStore } = require("@auth0/ai/stores");

const { DOMAIN, CLIENT_ID, CLIENT_SECRET, APPROVER, DETAILS = "[]" } = process.env;
const authorizer = new AsyncAuthorizerBase(
  { domain: DOMAIN, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET },
  {
    store: new MemoryStore(),
    scopes: [],
    userID: () => APPROVER,
    bindingMessage: () => "Ticket 5512",
    authorizationDetails: () => JSON.parse(DETAILS),
  },
);
const call = authorizer.protect(
  () => ({ threadID: "thread-1", toolCallID: "call-1", toolName: "refund" }),
  async () => getAsyncAuthorizationCredentials(),
);

const interrupts: string[] = [];
for (;;) {
  const answer = await call({}).catch((error: unknown) => error);
  if (!(answer instanceof Error)) {
    console.log(JSON.stringify({ interrupts, granted: answer }));
    break;
  }
  const { code, name, _request } = answer as Error & { code?: string; _request?: { interval: number } };
  interrupts.push(code ?? name);
  if (
    code !== "ASYNC_AUTHORIZATION_AUTHORIZATION_PENDING" &&
    code !== "ASYNC_AUTHORIZATION_AUTHORIZATION_POLLING_ERROR"
  ) {
    console.log(JSON.stringify({ interrupts, message: answer.message }));
    break;
  }
  await sleep((_request?.interval ?? 1) * 1000);
}
