/** A hostile caller: everything that is sent gets an answer of the 400s, changes nothing, and is no fault of the server's. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Deployment, deploy, type Person, rules } from "./deployment.ts";
import { besiege, holdings, protocolPaths } from "./hostile.ts";

let place: Deployment;
let ada: Person;
before(async () => {
  place = await deploy(`${rules}\nregistration: { enabled: true }\n`);
  ada = await place.enrol("ada@example.com");
});
after(async () => {
  assert.deepEqual(place.faults, []);
  await place.close();
});

test("T52: whatever is sent to whatever route, nothing is changed by it, nothing is a fault, and protocol answers are JSON", async () => {
  const before = holdings(place.file);
  const wrong: string[] = [];
  const protocol = new Set(protocolPaths.map(([, path]) => path));
  await besiege(place, (what, response, text, path) => {
    const { status, headers } = response;
    if (status >= 500) wrong.push(`${what}: ${status}`);
    if (headers.get("x-content-type-options") !== "nosniff") wrong.push(`${what}: no nosniff`);
    const location = headers.get("location");
    if (location !== null && !/^\/sign-in(\?next=[%\w.'-]+)?$/.test(location))
      wrong.push(`${what}: leads to ${location}`);
    if (!protocol.has(path)) return;
    if (status < 400 || location !== null) wrong.push(`${what}: ${status}`);
    if (!headers.get("content-type")?.startsWith("application/json")) wrong.push(`${what}: no JSON`);
    else if (text !== "" && typeof JSON.parse(text).error !== "string") wrong.push(`${what}: no error code`);
  });
  assert.deepEqual(wrong, []);
  assert.deepEqual(place.faultPlaces, []);
  assert.deepEqual(holdings(place.file), before);
});
