/**
 * A trading assistant. A language model talks to the customer and calls tools; this is the tool that places orders, and
 * the gate in front of it. The gate is ordinary code around the tool: the model does not see it and cannot talk its way
 * past it. Takes a tool call as JSON, as a model would make it, and prints what the model gets to read.
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

/** Who is logged in. Neither the account nor the person to ask is anything that a model may fill in. */
const customer = { account: "ACC-1001", email: "grace@example.com" };

// #region tool
/** `create_order`, as it is offered to the model: symbol, quantity and limit price are all that it may choose. */
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
  if (!response.ok) throw new Error(`the broker answered ${response.status}`);
  return (await response.json()) as { id: string };
}

// #region store
/** Asks outlive the process in the assistant's own database, beside the conversation that they belong to. */
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
