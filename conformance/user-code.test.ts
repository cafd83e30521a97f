/** User codes (CIBA §7.1.2). */
import assert from "node:assert/strict";
import { openDirectory } from "../packages/server/src/directory/open-directory.ts";
import { setUserCode } from "../packages/server/src/usecase/request/user-code.ts";
import { scenario } from "./scenario.ts";
import { openTestServer, refusal } from "./test-server.ts";

const world = await openTestServer({
  user_codes: true,
  approvers: [
    { email: "ada@example.com", name: "Ada", user_code: "27182818" },
    { email: "bob@example.com", name: "Bob" },
  ],
  headless: "bob@example.com",
  agents: [{ id: "caller", user_code: true }],
});
const caller = world.agent("caller");
const asks = async (changed: Readonly<Record<string, string>>) => refusal(await world.ask(caller, changed));

scenario(
  "a missing user code is rejected, a wrong one is rejected, and the right one is accepted",
  ["ciba-7.1.2-1", "ciba-13-8", "ciba-13-9"],
  async () => {
    assert.deepEqual(await asks({}), [400, "missing_user_code"]);
    assert.deepEqual(await asks({ user_code: "00000000" }), [400, "invalid_user_code"]);
    assert.equal((await asks({ user_code: "27182818" }))[0], 200);
  },
);

scenario("agents and people without a user code do without", ["ciba-7.1.2-2"], async () => {
  assert.equal((await world.ask(world.agent("agent"))).status, 200);
  assert.equal((await asks({ login_hint: "bob@example.com" }))[0], 200);
});

scenario("the code can be changed", ["ciba-7.1.2-3"], async () => {
  const directory = openDirectory({
    settings: world.config,
    policy: { current: () => world.config },
    store: world.store,
  });
  await setUserCode({ store: world.store, directory }, "ada@example.com", "31415926");
  assert.deepEqual(await asks({ user_code: "27182818" }), [400, "invalid_user_code"]);
  assert.equal((await asks({ user_code: "31415926" }))[0], 200);
});

scenario("metadata states that user codes are supported", ["ciba-4-4"], async () => {
  assert.equal((await world.metadata()).backchannel_user_code_parameter_supported, true);
});
