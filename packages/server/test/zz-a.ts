import { deploy, basic, issuer, hidden, formOf, requestIdOf, refund, rules } from "./deployment.ts";
import { cibaGrantType } from "@countersign/protocol";
import { addAgent } from "../src/operations/admit.ts";
import { removeApprover, removeDevice } from "../src/operations/unenrol.ts";
import { SignJWT, generateKeyPair, exportJWK } from "jose";
const b64 = (x: unknown) => Buffer.from(JSON.stringify(x)).toString("base64url");
const at = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const d = await deploy();
const flush = () => { const f = d.faults.splice(0).map((x) => String((x as Error).message ?? x)); return f; };
const ada = await d.enrol("ada@example.com");

// 1 iss types
for (const iss of [{ a: 1 }, [1], true, 5, null]) {
  const r = await d.post("/oauth/token", { client_assertion_type: at, client_assertion: `${b64({ alg: "ES256" })}.${b64({ iss })}.AAAA` });
  console.log("iss", JSON.stringify(iss), r.status, r.body, flush());
}
// keys
const k1 = await generateKeyPair("ES256", { extractable: true }), k2 = await generateKeyPair("ES256", { extractable: true });
await addAgent(d.server.store, { id: "jwt-1", name: "J", types: ["refund"], method: "private_key_jwt", keys: [{ ...(await exportJWK(k1.publicKey)) } as any] });
await addAgent(d.server.store, { id: "jwt-2", name: "J", types: ["refund"], method: "private_key_jwt", keys: [{ ...(await exportJWK(k1.publicKey)), kid: "a" } as any, { ...(await exportJWK(k2.publicKey)), kid: "b" } as any] });
let n = 0;
const assertion = (id: string, over: any = {}, head: any = {}, key = k1) => {
  const now = Math.floor(d.clock.now / 1000);
  return new SignJWT({ iss: id, sub: id, aud: issuer, jti: `j${n++}`, iat: now, exp: now + 60, ...over }).setProtectedHeader({ alg: "ES256", ...head }).sign(key.privateKey);
};
const tryIt = async (id: string, a: string) => { const r = await d.post("/oauth/token", { grant_type: cibaGrantType, auth_req_id: "x", client_assertion_type: at, client_assertion: a }); return [r.status, r.body.error, flush()]; };
console.log("plain", await tryIt("jwt-1", await assertion("jwt-1")));
console.log("fraction exp", await tryIt("jwt-1", await assertion("jwt-1", { exp: d.clock.now / 1000 + 60.1234567 })));
console.log("typ authz-req", await tryIt("jwt-1", await assertion("jwt-1", {}, { typ: "oauth-authz-req+jwt" })));
console.log("typ dpop", await tryIt("jwt-1", await assertion("jwt-1", {}, { typ: "dpop+jwt" })));
console.log("typ JWT", await tryIt("jwt-1", await assertion("jwt-1", {}, { typ: "JWT" })));
console.log("two keys no kid", await tryIt("jwt-2", await assertion("jwt-2", {}, {}, k2)));
console.log("two keys kid b", await tryIt("jwt-2", await assertion("jwt-2", {}, { kid: "b" }, k2)));
console.log("huge jti", await tryIt("jwt-1", await assertion("jwt-1", {jti: "x".repeat(5000)})));
console.log("aud []", await tryIt("jwt-1", await assertion("jwt-1", {aud: []})));
console.log("aud nonstring", await tryIt("jwt-1", await assertion("jwt-1", {aud: [5]})));
console.log("aud obj", await tryIt("jwt-1", await assertion("jwt-1", {aud: {a:1}})));

// 2 reason with emoji
const r1 = await d.ask();
const id1 = requestIdOf(r1.body.auth_req_id);
const den = await ada.decide(id1, "deny", { reason: "no thanks ❤️" });
console.log("deny with emoji", den.status, /<h1[^>]*>([^<]*)/.exec(await den.text())?.[1]);

// 3 token resource
const ok = await ada.decide(id1, "approve"); console.log("approve", ok.status);
const tr = await d.post("/oauth/token", { grant_type: cibaGrantType, auth_req_id: r1.body.auth_req_id, resource: "https://other.example" }, basic(d.agent));
console.log("resource", tr.status, tr.body.error, tr.body.scope);

// 4 slow body
function slow(path: string, cookie: string) {
  let ctl!: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({ start(c) { ctl = c; } });
  const p = d.request(path, { method: "POST", headers: { origin: issuer, cookie, "content-type": "application/x-www-form-urlencoded" }, body, duplex: "half" } as any);
  return { p, send: (form: Record<string, string>) => { ctl.enqueue(new TextEncoder().encode(new URLSearchParams(form).toString())); ctl.close(); } };
}
const tick = () => new Promise((r) => setTimeout(r, 30));
{
  const r = await d.ask({ authorization_details: JSON.stringify([{ ...refund, order: "B" }]) });
  const id = requestIdOf(r.body.auth_req_id);
  const page = await (await ada.get(`/requests/${id}`)).text();
  const form = { ...hidden(formOf(page, "approve")), verdict: "approve" };
  const s = slow(`/requests/${id}/decision`, ada.cookie);
  await tick();
  // add second device by invite so the person exists, then operator removes stolen device
  const bobby = await d.enrol("ada@example.com");
  console.log("remove device", await removeDevice(d.server.store, ada.passkey.id ?? (await d.server.store.devicesOf(ada.approver))[0]!.id));
  s.send(form);
  const res = await s.p;
  console.log("decision after device removal:", res.status, res.headers.get("location"), (await d.poll(r.body.auth_req_id)).status);
  // devices/add after approver removed
  const dev = await (await bobby.get("/devices")).text();
  const csrf = hidden(dev).csrf!;
  const s2 = slow("/devices/add", bobby.cookie);
  await tick();
  console.log(await removeApprover(d.server.store, "ada@example.com"));
  s2.send({ csrf });
  const res2 = await s2.p;
  console.log("devices/add after removal:", res2.status, res2.headers.get("location"), await d.server.store.approverByEmail("ada@example.com"));
}
await d.close();
