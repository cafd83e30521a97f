/**
 * Checks the files in `deploy/` against the server. Builds and starts no image: the server is run with the environment, the
 * account and the command line that the image would have.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { canRunAs } from "@countersign/testing/process/os-user";
import { startPostgres } from "@countersign/testing/process/postgres";
import { deploy, sampleConfig } from "@countersign/testing/server/deployment";
import { editConfig, formatConfig } from "@countersign/testing/server/edit-config";
import { findFreePort } from "@countersign/testing/server/tls-fetch";
import postgres from "postgres";
import { parse, parseAllDocuments } from "yaml";
import { writeSampleConfig } from "../packages/server/src/config/sample.ts";
import { openMetrics } from "../packages/server/src/metrics/metrics.ts";

const read = (file: string) => readFileSync(file, "utf8");

/** The image's account, command, environment and exposed port. */
const dockerfile = read("deploy/Dockerfile");
const inImage = (pattern: RegExp) => pattern.exec(dockerfile)?.[1] ?? assert.fail(String(pattern));
const account = Number(inImage(/^USER (\d+):\1$/m));
const entry: string[] = JSON.parse(inImage(/^ENTRYPOINT (.+)$/m));
const command: string[] = JSON.parse(inImage(/^CMD (.+)$/m));
const configured = command.at(-1) ?? "";
const port = Number(inImage(/^EXPOSE (\d+)$/m));
const { version } = JSON.parse(read("packages/server/package.json"));

const objects = parseAllDocuments(read("deploy/kubernetes/countersign.yaml")).map((one) => one.toJS());
const object = (kind: string) => objects.find((one) => one.kind === kind);
const podOf = (kind: string) => object(kind).spec.template.spec;
const { services } = parse(read("deploy/compose.yaml"), { merge: true });
const nodes = [services.first, services.second];

test("the image copies existing files, runs unprivileged, and starts the published command", () => {
  const ours = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, names = ""]) =>
    names.split(" "),
  );
  assert.deepEqual(
    ours.filter((name) => !existsSync(name)),
    [],
  );
  const { workspaces } = JSON.parse(read("package.json"));
  for (const place of workspaces) assert.ok(ours.includes(dirname(place)), `npm install needs ${place}`);
  assert.match(dockerfile, /^RUN npm ci /m);
  assert.ok(account > 0);
  assert.match(dockerfile, new RegExp(`--chown=${account}:${account} /state /state`));
  const { bin } = JSON.parse(read("packages/server/package.json"));
  const main = bin.countersign.replace(/^\.\/src\/(.*)\.ts$/, "dist/$1.js");
  assert.deepEqual(entry, ["/nodejs/bin/node", `/app/node_modules/@countersign/server/${main}`]);
  assert.deepEqual(command, ["start", "--config", configured]);
});

test("ports, probes, accounts, files and versions agree in image, Compose, manifests and server", async () => {
  const config = writeSampleConfig({ issuer: "http://localhost:4400", approver: "ada@example.com" });
  assert.match(config, new RegExp(`^listen: .*port: ${port} `, "m"));
  const [server] = podOf("Deployment").containers;
  const ports = new Map(server.ports.map((one: any) => [one.name, one.containerPort]));
  assert.equal(ports.get("http"), port);
  const { annotations } = object("Deployment").spec.template.metadata;
  assert.equal(Number(annotations["prometheus.io/port"]), ports.get("metrics"));
  assert.match(
    read("deploy/kubernetes/countersign.yaml"),
    new RegExp(`metrics.port ${ports.get("metrics")}\\b`),
  );
  assert.equal(object("Service").spec.ports[0].targetPort, "http");
  assert.deepEqual(object("Service").spec.selector, object("Deployment").spec.selector.matchLabels);
  assert.deepEqual(object("Deployment").spec.template.metadata.labels, object("Service").spec.selector);

  const place = await deploy();
  for (const probe of ["startupProbe", "livenessProbe", "readinessProbe"]) {
    const { httpGet } = server[probe];
    assert.equal(httpGet.port, "http", probe);
    assert.equal((await place.request(httpGet.path)).status, 200, probe);
  }
  const asked = nodes.map(({ healthcheck }) =>
    /http:\/\/127\.0\.0\.1:(\d+)(\/\w+)/.exec(healthcheck.test.at(-1)),
  );
  for (const found of asked) {
    assert.equal(Number(found?.[1]), port);
    assert.equal((await place.request(found?.[2] ?? "/")).status, 200);
  }
  await place.close();
  assert.equal(
    server.livenessProbe.httpGet.path,
    "/livez",
    "a database that is away is no reason to start again",
  );

  for (const kind of ["Deployment", "Job"]) {
    const { securityContext, containers, volumes } = podOf(kind);
    assert.deepEqual([securityContext.runAsUser, securityContext.runAsGroup], [account, account]);
    assert.equal(containers[0].image, `countersign:${version}`);
    const [mount] = containers[0].volumeMounts;
    assert.equal(join(mount.mountPath, "countersign.yaml"), configured);
    assert.equal(volumes[0].name, mount.name);
    assert.deepEqual(containers[0].envFrom, [{ secretRef: { name: "countersign" } }]);
  }
  assert.equal(podOf("Job").containers[0].args.at(-1), configured);
  for (const node of [...nodes, services.init]) {
    assert.equal(node.image, `countersign:${version}`);
    assert.equal(node.volumes[0].split(":")[1], configured);
  }
  assert.equal(services.init.command.at(-1), configured);
  assert.deepEqual(
    nodes.map(({ ports: [published] }) => Number(published.split(":")[1])),
    [port, port],
  );
});

test("every variable that is set or required is read by the server, its driver or Node", () => {
  const ours = globSync("packages/server/src/**/*.ts")
    .filter((file) => !file.endsWith(".test.ts"))
    .flatMap((file) => [...read(file).matchAll(/process\.env\.(\w+)/g)].map(([, name]) => name));
  const known = new Set([...ours, "PGPASSWORD", "NODE_OPTIONS"]);
  const set = [
    ...[...nodes, services.init].flatMap(({ environment }) => Object.keys(environment)),
    ...[...dockerfile.matchAll(/^ENV (\w+)=/gm)].map(([, name]) => name),
    ...[...read("deploy/kubernetes/countersign.yaml").matchAll(/\b(COUNTERSIGN_\w+|PG\w+)\b/g)].map(
      ([, name]) => name,
    ),
  ];
  assert.ok(set.length > 8);
  assert.deepEqual(
    set.filter((name) => !known.has(name)),
    [],
  );
});

test("each node has no capabilities, a read-only root, a disruption budget and time to stop", () => {
  for (const kind of ["Deployment", "Job"]) {
    const { securityContext, containers } = podOf(kind);
    assert.equal(securityContext.runAsNonRoot, true);
    assert.equal(containers[0].securityContext.readOnlyRootFilesystem, true);
    assert.equal(containers[0].securityContext.allowPrivilegeEscalation, false);
    assert.deepEqual(containers[0].securityContext.capabilities.drop, ["ALL"]);
  }
  assert.deepEqual(object("PodDisruptionBudget").spec.selector, object("Deployment").spec.selector);
  assert.ok(object("PodDisruptionBudget").spec.minAvailable < object("Deployment").spec.replicas);
  for (const node of [...nodes, services.init]) {
    assert.equal(node.read_only, true);
    assert.deepEqual(node.cap_drop, ["ALL"]);
    assert.match(node.environment.COUNTERSIGN_STORE, /^postgres:/);
  }
  const start = read("packages/server/src/command/start.ts");
  const patience = [...start.matchAll(/listener\.close\(([\d_]+)\)/g)].map(([, ms = ""]) =>
    Number(ms.replace("_", "")),
  );
  const seconds = Math.max(...patience) / 1000;
  assert.ok(seconds > 0);
  const { terminationGracePeriodSeconds, containers } = podOf("Deployment");
  const { sleep } = containers[0].lifecycle.preStop;
  // The readiness probe fails, and load balancers react, before connections are refused.
  assert.ok(sleep.seconds >= 2 && terminationGracePeriodSeconds >= sleep.seconds + 3 * seconds);
  for (const node of nodes) assert.ok(Number.parseInt(node.stop_grace_period, 10) >= 3 * seconds);
});

test("the nodes of Compose become ready with only their environment, as their account, without a writable directory", async () => {
  const folder = mkdtempSync(join(tmpdir(), "countersign-compose-"));
  const state = join(folder, "state");
  mkdirSync(state);
  const hba = join(folder, "pg_hba.conf");
  // Only the database and the nodes require the password.
  const line = (database: string, method: string) => `host ${database} countersign 127.0.0.1/32 ${method}\n`;
  writeFileSync(hba, line("postgres", "trust") + line("countersign", "scram-sha-256"));
  chmodSync(folder, 0o755);
  const database = await startPostgres({ hba_file: hba });
  const sql = postgres(database.url, { max: 1, onnotice: () => {} });
  const secrets: Record<string, string> = {
    POSTGRES_PASSWORD: "p@ss/w:rd #1",
    COUNTERSIGN_KEY: randomBytes(32).toString("base64url"),
  };
  const { POSTGRES_USER, POSTGRES_DB } = services.database.environment;
  assert.equal(POSTGRES_USER, "countersign");
  await sql.unsafe(`ALTER ROLE ${POSTGRES_USER} PASSWORD '${secrets.POSTGRES_PASSWORD}'`);
  await sql.unsafe(`CREATE DATABASE ${POSTGRES_DB}`);
  await sql.end();

  const at = new URL(database.url).host;
  const environment = (service: { readonly environment: Record<string, string> }) =>
    Object.fromEntries(
      Object.entries(service.environment).map(([name, value]) => [
        name,
        value
          .replace(/\$\{(\w+)[^}]*\}/g, (_, of: string) => secrets[of] ?? "")
          .replace("@database/", `@${at}/`),
      ]),
    );
  const main = fileURLToPath(new URL("../packages/server/src/main.ts", import.meta.url));
  const started: ChildProcess[] = [];
  /** Run as the image's account if this machine allows changing the user. */
  const who = canRunAs(account) ? { uid: account, gid: account } : {};
  const run = (service: any, words: readonly string[], file: string) => {
    const child = spawn(
      process.execPath,
      [main, ...words.map((word) => (word === configured ? file : word))],
      {
        cwd: state,
        ...who,
        env: {
          NODE_OPTIONS: inImage(/^ENV NODE_OPTIONS="(.+)"$/m),
          HOME: "/nonexistent",
          ...environment(service),
        },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    started.push(child);
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (text) => {
        said += text;
      });
    return { child, said: () => said, ended: once(child, "close") };
  };
  try {
    const places = await Promise.all(
      nodes.map(async (_, n) => {
        const free = await findFreePort();
        const file = join(folder, `node-${n}.yaml`);
        // Store and key come from the environment; those of the file cannot be created.
        const config = { store: undefined, key_file: undefined, listen: { port: free } };
        writeFileSync(file, formatConfig(editConfig(sampleConfig, config)));
        chmodSync(file, 0o444);
        return { file, url: `http://127.0.0.1:${free}` };
      }),
    );
    chmodSync(state, 0o555);
    // As with replicas that all create the tables at start.
    const made = places.map(({ file }) => run(services.init, services.init.command, file));
    for (const { ended, said } of made) assert.deepEqual(await ended, [0, null], said());
    const again = run(services.init, services.init.command, places[0]!.file);
    assert.deepEqual(await again.ended, [0, null], again.said());
    assert.match(again.said(), /nothing to do/);

    const running = nodes.map((service, n) => run(service, command, places[n]!.file));
    for (const [n, { url }] of places.entries()) {
      const { child, said } = running[n]!;
      for (let left = 600; !said().includes("listens on"); left -= 1) {
        assert.ok(left > 0 && child.exitCode === null, said());
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      assert.equal((await fetch(`${url}/readyz`)).status, 200);
    }
    const [first, second] = await Promise.all(
      places.map(async ({ url }) => [
        await (await fetch(`${url}/log/key`)).text(),
        await (await fetch(`${url}/jwks`)).text(),
      ]),
    );
    assert.deepEqual(first, second, "one log and one set of keys");
    for (const { child } of running) child.kill("SIGTERM");
    for (const { ended, said } of running) {
      assert.deepEqual(await ended, [0, null], said());
      assert.doesNotMatch(said(), /"level":"(error|fatal)"/);
      for (const secret of Object.values(secrets)) assert.ok(!said().includes(secret));
    }
  } finally {
    for (const child of started) child.kill("SIGKILL");
    await database.discard();
    rmSync(folder, { recursive: true });
  }
});

test("the dashboard uses only metrics of the server, and all of Countersign's own", async () => {
  const asked = new Set(
    [...read("deploy/grafana/countersign.json").matchAll(/\b(countersign|nodejs)_\w+/g)].map(([name]) =>
      name.replace(/_(bucket|count|sum)$/, ""),
    ),
  );
  asked.delete("countersign");
  const { text } = await openMetrics("0.1.0").scrape();
  const measured = new Set([...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name = ""]) => name));
  assert.deepEqual(
    [...asked].filter((name) => !measured.has(name)),
    [],
  );
  const ours = [...measured].filter((name) => name.startsWith("countersign_"));
  const source = globSync("packages/server/src/metrics/*.ts").map(read).join("\n");
  const labels = new Set(
    [...source.matchAll(/labelNames: \[([^\]]*)\]/g)].flatMap(([, names = ""]) => names.match(/\w+/g)),
  );
  for (const label of ["le", "instance"]) labels.add(label);
  const used = [
    ...read("deploy/grafana/countersign.json").matchAll(/by \(([^)]*)\)|\{\{(\w+)\}\}|[{,](\w+)!?=~?\\"/g),
  ];
  const named = used.flatMap(([, by = "", legend = "", selector = ""]) =>
    `${by} ${legend} ${selector}`.match(/\w+/g),
  );
  assert.ok(named.length > 20);
  assert.deepEqual(
    named.filter((label) => !labels.has(label ?? "")),
    [],
  );
  assert.deepEqual(
    ours.filter((name) => !asked.has(name)),
    [],
  );
});

test("metric names have units and, for counters, _total; every metric has a help text", async () => {
  const { text } = await openMetrics("0.1.0").scrape();
  const ours = [...text.matchAll(/^# HELP (countersign_\S+) (.*)\n# TYPE \S+ (\w+)$/gm)];
  assert.ok(ours.length >= 15);
  for (const [, name = "", help = "", type] of ours) {
    assert.ok(help.length > 20, name);
    assert.equal(name.endsWith("_total"), type === "counter", name);
    if (type === "histogram") assert.match(name, /_seconds$/);
    // Reserved for histograms (Prometheus, metric names and labels).
    assert.doesNotMatch(text, new RegExp(`^${name}\\{[^}]*\\ble=`, "m"), name);
  }
});
