/**
 * Runs a server under test for other suites: `node conformance/serve.ts [plan.json]`. Prints one line of JSON when it listens,
 * accepts `restart` and `kill` on standard input, ends with SIGTERM or SIGINT. `README.md` describes the line.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type Harness, openHarness } from "./harness.ts";

const [file] = process.argv.slice(2);
const harness = await openHarness(file === undefined ? {} : JSON.parse(readFileSync(file, "utf8"))).catch(
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
print(await describe(harness));

for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => void end());
async function end(): Promise<void> {
  await harness.close();
  print({ event: "stopped" });
  process.exit(0);
}

for await (const line of createInterface({ input: process.stdin })) {
  const word = line.trim();
  if (word === "restart" || word === "kill") {
    await harness.restart(word === "kill" ? "kill" : "stop");
    print({ event: "ready", issuer: harness.issuer });
  } else if (word !== "") print({ event: "refused", error: `${word} is not known here: restart, kill` });
}

async function describe({ issuer, folder, ca, agents, apis, approvers, headless, resource, call }: Harness) {
  return {
    event: "ready",
    issuer,
    metadata: (await call("/.well-known/openid-configuration")).body,
    folder,
    ...(ca !== undefined && { ca: join(folder, "ca.pem") }),
    agents: [...agents.values()].map(({ id, method, secret, key, certificate }) => ({
      id,
      method,
      ...(secret !== undefined && { secret }),
      jwk: key,
      ...certificate,
    })),
    apis: [...apis].map(([name, credentials]) => ({ name, ...credentials })),
    approvers: approvers.map(({ id, email, enrolmentUrl }) => ({ id, email, enrolment_url: enrolmentUrl })),
    headless_approver: headless.url,
    resource: resource.url,
  };
}

function print(line: unknown): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
