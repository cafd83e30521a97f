/** An Express API with `express-oauth2-jwt-bearer` in strict mode, which calls itself with several tokens. */
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import express from "express";

const { auth, claimCheck } = createRequire(import.meta.url)("express-oauth2-jwt-bearer");
const { ISSUER, AUDIENCE, TOKEN = "" } = process.env;

const app = express();
const isRefund = claimCheck((claims: any) => claims.authorization_details[0].type === "refund");
const guard = (audience?: string) => auth({ issuerBaseURL: ISSUER, audience, strict: true });
app.get("/refunds", guard(AUDIENCE), isRefund, (request, response) => {
  response.json((request as any).auth.payload.authorization_details);
});
app.get("/other", guard("https://other.example"), (_request, response) => {
  response.json([]);
});

const listener = app.listen(0, "127.0.0.1", async () => {
  const { port } = listener.address() as AddressInfo;
  const get = (path: string, token?: string) =>
    fetch(`http://127.0.0.1:${port}${path}`, {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    });
  const right = await get("/refunds", TOKEN);
  const said = {
    none: (await get("/refunds")).status,
    forged: (await get("/refunds", `${TOKEN.slice(0, -6)}AAAAAA`)).status,
    other: (await get("/other", TOKEN)).status,
    right: right.status,
    details: right.status === 200 ? await right.json() : await right.text(),
  };
  console.log(JSON.stringify(said));
  listener.close();
  listener.closeAllConnections();
});
