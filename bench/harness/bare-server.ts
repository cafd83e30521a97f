/** A minimal Node server: `node:http`, reads the body, returns constant JSON. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const body = JSON.stringify({
  error: "authorization_pending",
  error_description: "no approver has decided yet",
});
const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
const server = createServer((request, response) => {
  request.resume().once("end", () => response.writeHead(400, headers).end(body));
});
server.listen(0, "127.0.0.1", () => console.log(`port ${(server.address() as AddressInfo).port}`));
