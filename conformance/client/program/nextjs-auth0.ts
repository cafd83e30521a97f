/** A real Next.js application with `@auth0/nextjs-auth0`, started on a free port and called once. */
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";

const { APPROVER, DETAILS = "[]" } = process.env;
const require = createRequire(import.meta.url);
const dir = fileURLToPath(new URL("../next-app", import.meta.url));

const listener = createServer();
await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
const base = `http://127.0.0.1:${(listener.address() as AddressInfo).port}`;
process.env.APP_BASE_URL = base;
const app = require("next")({
  dev: true,
  dir,
  hostname: "127.0.0.1",
  port: (listener.address() as AddressInfo).port,
});
await app.prepare();
const handle = app.getRequestHandler();
listener.on("request", (request, response) => void handle(request, response));

const response = await fetch(`${base}/approve`, {
  method: "POST",
  body: JSON.stringify({ approver: APPROVER, details: JSON.parse(DETAILS) }),
});
const text = await response.text();
console.log(
  JSON.stringify({ status: response.status, body: text.startsWith("{") ? JSON.parse(text) : text }),
);
process.exit(0);
