import { deploy, basic, issuer, hidden, formOf, requestIdOf, refund, rules } from "./deployment.ts";
import { cibaGrantType } from "@countersign/protocol";
import { invite } from "../src/operations/enrol.ts";
import { removeDevice } from "../src/operations/unenrol.ts";
import { serve } from "@hono/node-server";
import net from "node:net";
const d = await deploy();
const ada = await d.enrol("ada@example.com");
const bob = await d.enrol("bob@example.com");
const tick = (n = 50) => new Promise((r) => setTimeout(r, n));
process.on("unhandledRejection", (e) => console.log("UNHANDLED REJECTION", e));
process.on("uncaughtException", (e) => console.log("UNCAUGHT", e));

// invitation survives device removal
{
  const dev = await (await bob.get("/devices")).text();
  const res = await d.request("/devices/add", { method: "POST", headers: { origin: issuer, cookie: bob.cookie }, body: new URLSearchParams({ csrf: hidden(dev).csrf! }) });
  const link = res.headers.get("location")!;
  const [device] = await d.server.store.devicesOf(bob.approver);
  await removeDevice(d.server.store, device!.id);
  const opened = await d.request(link);
  console.log("invitation after the stolen device was removed:", opened.status);
}
// latch and subject change
{
  const r = await d.ask();
  await ada.decide(requestIdOf(r.body.auth_req_id), "deny");
  console.log("same", (await d.ask()).body.error);
  await d.restart(rules.replaceAll("subject: [order]", "subject: [order, currency]"));
  console.log("after subject change:", (await d.ask()).status);
  await d.restart();
}
// mail bomb: requested_expiry=1
{
  let sent = 0; const start = d.clock.now;
  for (let s = 0; s < 60; s++) { for (let k = 0; k < 20; k++) { const a = await d.ask({ login_hint: "owner", requested_expiry: "1", authorization_details: JSON.stringify([{ ...refund, order: `X-${s}-${k}` }]) }); if (a.status === 200) sent++; } d.clock.now += 1001; }
  console.log("asks acknowledged in", (d.clock.now - start) / 1000, "s:", sent);
  d.clock.now += 400; 
}
// real listener
const paths: string[] = [];
const real = serve({ fetch: d.server.fetch, port: 0, hostname: "127.0.0.1" });
await tick();
const port = (real.address() as any).port;
// aborted body
for (let i = 0; i < 3; i++) {
  const s = net.connect(port, "127.0.0.1"); s.on("error", () => {});
  s.write("POST /oauth/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 100\r\n\r\nab");
  await tick(); s.destroy(); await tick();
}
for (let i = 0; i < 3; i++) {
  const s = net.connect(port, "127.0.0.1"); s.on("error", () => {});
  s.write("POST /oauth/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab");
  await tick(); s.destroy(); await tick();
}
{ const s = net.connect(port, "127.0.0.1"); s.on("error", () => {});
  s.write("POST /sign-in HTTP/1.1\r\nhost: x\r\norigin: http://localhost:4400\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 100\r\n\r\nab");
  await tick(); s.destroy(); await tick(); }
console.log("faults by aborted bodies:", d.faults.splice(0).map((f) => String(f)));
// odd requests
for (const raw of ["GET //evil HTTP/1.1\r\nhost: x\r\n\r\n", "GET /enrol/%ff HTTP/1.1\r\nhost: x\r\n\r\n", "GET /requests/%00 HTTP/1.1\r\nhost: x\r\n\r\n", "GET /x HTTP/1.1\r\nhost: a b\r\n\r\n", "POST /sign-in HTTP/1.1\r\nhost: x\r\norigin: http://localhost:4400\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 29\r\n\r\nassertion=%7B%22id%22%3A5%7D&", "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n","GET http://evil.example/.well-known/openid-configuration HTTP/1.1\r\nhost: x\r\n\r\n", "GET /x HTTP/1.0\r\n\r\n"]) {
  const s = net.connect(port, "127.0.0.1"); s.on("error", () => {}); let out = ""; s.on("data", (x) => (out += x));
  s.write(raw); await tick(60); s.destroy();
  console.log(JSON.stringify(raw.slice(0, 40)), "->", out.split("\r\n")[0], d.faults.splice(0).map(String));
}
// SSE: many, disconnect, then event
const socks: net.Socket[] = [];
for (let i = 0; i < 50; i++) { const s = net.connect(port, "127.0.0.1"); s.on("error", () => {}); s.write(`GET /inbox/events HTTP/1.1\r\nhost: x\r\ncookie: ${ada.cookie}\r\n\r\n`); socks.push(s); }
await tick(200);
for (const s of socks.slice(0, 25)) s.destroy();
const e = await d.ask({ authorization_details: JSON.stringify([{ ...refund, order: "SSE" }]) });
await tick(100);
for (const s of socks.slice(25)) s.resetAndDestroy();
await d.ask({ authorization_details: JSON.stringify([{ ...refund, order: "SSE2" }]) });
await tick(100);
console.log("SSE ok", e.status, d.faults.splice(0).map(String));
// an SSE while store read fails
const s = net.connect(port, "127.0.0.1"); s.on("error", () => {}); s.write(`GET /inbox/events HTTP/1.1\r\nhost: x\r\ncookie: ${ada.cookie}\r\n\r\n`);
await tick(100);
const orig = d.server.store.read; 
(d.server.store as any).read = (k: string, id: string) => { if (k === "session") throw new Error("disk I/O"); return (orig as any)(k, id); };
await d.ask({ authorization_details: JSON.stringify([{ ...refund, order: "SSE3" }]) });
await tick(100);
(d.server.store as any).read = orig;
s.destroy();
real.close(); 
await d.close();
process.exit(0);
