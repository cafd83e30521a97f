/**
 * A trading assistant. A language model talks to the customer and calls tools; this is the tool that places orders, with the
 * approval gate around it. The gate is ordinary code that the model neither sees nor can bypass. Takes a model's tool call as JSON
 * and prints the result for the model.
 */
import { DatabaseSync } from "node:sqlite";
import { type Ask, type AskStore, createAgent } from "@countersign/agent";

const {
  COUNTERSIGN_ISSUER: issuer = "",
  COUNTERSIGN_CLIENT_ID: clientId = "",
  COUNTERSIGN_CLIENT_SECRET: clientSecret = "",
  API_URL: api,
} = process.env;

const agent = createAgent({ issuer, clientId, clientSecret });

/** The signed-in customer. The model chooses neither the account nor the approver. */
const customer = { account: "ACC-1001", email: "grace@example.com" };

// #region tool
/** The tool `create_order`. The model chooses only symbol, quantity and limit price. */
async function createOrder(call: ToolCall<{ symbol: string; quantity: number; limit_price: string }>) {
  const { symbol, quantity, limit_price } = call.arguments;
  return await agent.countersigned(
    {
      action: {
        type: "create_order",
        account: customer.account,
        symbol,
        quantity,
        limit_price,
        currency: "USD",
      },
      approver: customer.email,
      message: call.because,
      lifetimeSeconds: call.answerWithinSeconds,
      idempotencyKey: call.id,
    },
    (granted, token) => placeOrder(granted, token),
    { store: asks() },
  );
}
// #endregion

async function placeOrder(order: object, token: string): Promise<{ id: string }> {
  const response = await fetch(`${api}/orders`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(order),
  });
  if (!response.ok) throw new Error(`the broker returned ${response.status}`);
  return (await response.json()) as { id: string };
}

// #region store
/** Stores asks in the assistant's own database, beside the conversation, so that they survive a restart. */
function asks(): AskStore {
  const database = new DatabaseSync("assistant.db");
  database.exec("CREATE TABLE IF NOT EXISTS ask (id TEXT PRIMARY KEY, ask TEXT NOT NULL)");
  const [get, set, remove] = [
    database.prepare("SELECT ask FROM ask WHERE id = ?"),
    database.prepare("INSERT INTO ask VALUES (?, ?)"),
    database.prepare("DELETE FROM ask WHERE id = ?"),
  ];
  return {
    get: (key) => {
      const row = get.get(key) as { ask: string } | undefined;
      return row && (JSON.parse(row.ask) as Ask);
    },
    set: (key, ask) => set.run(key, JSON.stringify(ask)),
    delete: (key) => remove.run(key),
  };
}
// #endregion

type ToolCall<A> = {
  readonly id: string;
  readonly arguments: A;
  /** The model's own words. */
  readonly because: string;
  readonly answerWithinSeconds?: number;
};

console.log(JSON.stringify(await createOrder(JSON.parse(process.argv[2] ?? ""))));
