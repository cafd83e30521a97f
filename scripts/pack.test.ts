/**
 * Installs the packed packages into empty directories outside of the repository and runs them with the Node that runs the tests;
 * with `COUNTERSIGN_LONG=1` also with the oldest and newest supported Node from the registry.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { findFreePort } from "@countersign/testing/server/tls-fetch";
import { pack } from "./pack.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const quiet = "--disable-warning=ExperimentalWarning";
const folder = mkdtempSync(join(tmpdir(), "countersign-packed-"));
let packed: Map<string, string>;
before(() => {
  packed = pack(join(folder, "packages"));
});
after(() => rmSync(folder, { recursive: true }));

/** Installs packages into a directory, with the packages in `more` from the registry. Reuses a directory of the same name. */
function install(name: string, ours: readonly string[], more: readonly string[] = []): string {
  const at = join(folder, name);
  if (existsSync(at)) return at;
  mkdirSync(at);
  writeFileSync(join(at, "package.json"), '{ "private": true, "type": "module" }\n');
  const files = ours.map((one) => packed.get(`@countersign/${one}`) ?? assert.fail(one));
  const words = ["install", "--no-audit", "--no-fund", "--prefer-offline", "--silent", ...files, ...more];
  execFileSync("npm", words, { cwd: at, stdio: "pipe" });
  return at;
}

const installAgent = (tag: string) => install(`agent-${tag}`, ["protocol", "agent"]);
const installVerifier = (tag: string) =>
  install(`verifier-${tag}`, ["protocol", "verifier"], ["hono", "express", "fastify"]);
const installServer = (tag: string) => install(`server-${tag}`, ["protocol", "server"]);

const present = "the present Node";
const nodes: [name: string, path: () => string][] = [[present, () => process.execPath]];
if (process.env.COUNTERSIGN_LONG)
  for (const version of ["22", "26"])
    nodes.push([
      `Node ${version}`,
      () => join(install(`node-${version}`, [], [`node@${version}`]), "node_modules/.bin/node"),
    ]);

const tagOf = (name: string) => name.replaceAll(" ", "-");

for (const [name, find] of nodes)
  test(`the packages install, import and run in empty directories, on ${name}`, {
    timeout: 600_000,
  }, async () => {
    const node = find();
    const tag = tagOf(name);
    const run = (at: string, ...words: string[]) =>
      execFileSync(node, [quiet, ...words], { cwd: at, encoding: "utf8" });

    const small = installAgent(tag);
    writeFileSync(join(small, "use.js"), importsOf("agent"));
    assert.match(run(small, "use.js"), /createAgent/);

    const api = installVerifier(tag);
    writeFileSync(join(api, "use.js"), importsOf("verifier"));
    assert.match(run(api, "use.js"), /createVerifier/);

    const whole = installServer(tag);
    writeFileSync(join(whole, "use.js"), importsOf("server"));
    assert.match(run(whole, "use.js"), /createServer/);
    // As a user runs it: npm's link, which uses the first node in PATH.
    const env = { ...process.env, PATH: `${dirname(node)}:${process.env.PATH}`, NODE_OPTIONS: quiet };
    const bin = join(whole, "node_modules/.bin/countersign");
    const command = (...words: string[]) => execFileSync(bin, words, { cwd: whole, env, encoding: "utf8" });
    const { version } = JSON.parse(readFileSync(join(root, "packages/server/package.json"), "utf8"));
    assert.equal(command("--version"), `${version}\n`);
    const issuer = `http://localhost:${await findFreePort()}`;
    assert.match(command("init", "--issuer", issuer), /countersign-data\/countersign\.db/);
    assert.match(command("check"), /is valid/);
    assert.match(command("approver", "invite", "ada@example.com", "--qr"), /█/);
    await runs(bin, whole, env, issuer);
  });

/** Checks that the server starts, serves health endpoints and pages with their assets, and stops on SIGTERM. */
async function runs(bin: string, cwd: string, env: NodeJS.ProcessEnv, issuer: string): Promise<void> {
  const child = spawn(bin, ["start"], { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stderr.on("data", (text) => {
    said += text;
  });
  try {
    await new Promise<void>((resolve, reject) => {
      child.stdout.on("data", (text) => String(text).includes("listens on") && resolve());
      child.once("close", (code) => reject(new Error(`it ended with ${code}: ${said}`)));
    });
    for (const path of ["/livez", "/readyz", "/.well-known/openid-configuration", "/jwks", "/action-types"])
      assert.equal((await fetch(issuer + path)).status, 200, path);
    const page = await (await fetch(`${issuer}/sign-in`)).text();
    const assets = [...page.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)].map(([, path = ""]) => path);
    assert.ok(assets.length >= 2, page);
    for (const path of assets) assert.equal((await fetch(issuer + path)).status, 200, path);
    const gone = once(child, "exit");
    child.kill("SIGTERM");
    assert.deepEqual(await gone, [0, null], said);
    assert.match(said, /"event":"stopped"/);
  } finally {
    child.kill("SIGKILL");
  }
}

test("their declarations type-check valid code and reject invalid code", { timeout: 240_000 }, () => {
  const tag = tagOf(present);
  // Only Node's types come from this repository.
  const nodeTypes = ["--types", "node", "--typeRoots", join(root, "node_modules/@types")];
  const check = (at: string, text: string) => {
    writeFileSync(join(at, "use.ts"), text);
    const flags = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2024", ...nodeTypes];
    const words = [join(root, "node_modules/.bin/tsc"), ...flags, "use.ts"];
    execFileSync(process.execPath, words, { cwd: at, stdio: "pipe", encoding: "utf8" });
  };
  const agent = `import { createAgent, type Ask } from "@countersign/agent";
export const agent = createAgent({ issuer: "https://a.example", clientId: "a", clientSecret: "b" });
export const authReqId = (ask: Ask): string => ask.authReqId;
`;
  check(installAgent(tag), agent);
  assert.throws(() => check(installAgent(tag), `${agent}export const wrong: number = createAgent;\n`));
  check(
    installVerifier(tag),
    `import { createVerifier } from "@countersign/verifier";
import { actionDigest } from "@countersign/protocol";
export const digest: string = actionDigest({ type: "a", typeHash: "b", audience: "c", bound: {} });
export { createVerifier };
`,
  );
  check(installServer(tag), 'export { createServer } from "@countersign/server";\n');
});

/** Returns a program that imports every export of a package and prints the names. */
function importsOf(name: string): string {
  const manifest = JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8"));
  const lines = Object.keys(manifest.exports).map(
    (path) => `console.log(Object.keys(await import("@countersign/${name}${path.slice(1)}")).join(" "));`,
  );
  return `${lines.join("\n")}\nprocess.exit(0);\n`;
}
