import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { createCallbackHarness } from "@countersign/testing/server/callback-harness";
import { toRequestId } from "@countersign/testing/server/deployment";
import { formatConfig } from "@countersign/testing/server/edit-config";
import { runCommand } from "../../src/command/cli/run.ts";

describe("countersign callbacks", () => {
  test("lists failing callbacks with delivery mode, attempts and problem", async (t) => {
    const harness = await createCallbackHarness();
    t.after(() => harness.close());
    const file = join(dirname(harness.deployment.file), "countersign.yaml");
    writeFileSync(file, formatConfig(harness.deployment.config));
    const listed = async (...words: string[]) => {
      let out = "";
      const print = (text: string) => {
        out += `${text}\n`;
      };
      const terminal = { stdout: print, stderr: print, isTTY: false, signal: new AbortController().signal };
      assert.equal(await runCommand(["callbacks", ...words, "--config", file], terminal), 0, out);
      return out;
    };
    assert.match(await listed(), /nothing is failing/);
    const requests: string[] = [];
    for (const [id, mode, path] of [
      ["pinged", "ping", "/503"],
      ["pushed", "push", "/404"],
      ["fine", "ping", "/204"],
    ] as const) {
      const agent = await harness.registerAgent(id, mode, path);
      const { body } = await agent.ask();
      requests.push(toRequestId(body.auth_req_id));
    }
    harness.receiver.respond = (response, { path }) => response.writeHead(Number(path.slice(1))).end();
    for (const request of requests) await harness.ada.decide(request, "approve");
    await harness.advance(0);
    const rows = (await listed("--json"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(rows, [
      {
        request: requests[0],
        state: "retrying",
        mode: "ping",
        agent: "pinged",
        attempts: 1,
        problem: "the endpoint returned status 503",
      },
      {
        request: requests[1],
        state: "abandoned",
        mode: "push",
        agent: "pushed",
        attempts: 1,
        problem: "the endpoint returned status 404",
      },
    ]);
  });
});
