/** What is shipped to run the server elsewhere, held against what the server has. Nothing here builds or starts an image. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { parse, parseAllDocuments } from "yaml";
import { openMetrics } from "../packages/server/src/metrics/metrics.ts";

const read = (file: string) => readFileSync(file, "utf8");

test("the image copies what is there, runs as nobody, and starts the published command", () => {
  const file = read("deploy/Dockerfile");
  const ours = [...file.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, names = ""]) =>
    names.split(" "),
  );
  assert.deepEqual(
    ours.filter((name) => !existsSync(name)),
    [],
  );
  assert.match(file, /^USER 65532:65532$/m);
  const main = /node_modules\/@countersign\/server\/dist\/(\w+)\.js/.exec(file)?.[1];
  assert.ok(existsSync(`packages/server/src/${main}.ts`));
});

test("each node of the manifests has probes, no rights, a read-only root, and cannot be evicted with the others", () => {
  const objects = parseAllDocuments(read("deploy/kubernetes/countersign.yaml")).map((one) => one.toJS());
  const of = (kind: string) => objects.find((object) => object.kind === kind);
  const [server] = of("Deployment").spec.template.spec.containers;
  for (const probe of ["startupProbe", "livenessProbe", "readinessProbe"])
    assert.match(server[probe].httpGet.path, /^\/(livez|readyz)$/);
  for (const kind of ["Deployment", "Job"]) {
    const { securityContext, containers } = of(kind).spec.template.spec;
    assert.equal(securityContext.runAsNonRoot, true);
    assert.equal(containers[0].securityContext.readOnlyRootFilesystem, true);
    assert.deepEqual(containers[0].securityContext.capabilities.drop, ["ALL"]);
  }
  assert.deepEqual(of("PodDisruptionBudget").spec.selector, of("Deployment").spec.selector);
  assert.ok(of("PodDisruptionBudget").spec.minAvailable < of("Deployment").spec.replicas);

  const { services } = parse(read("deploy/compose.yaml"), { merge: true });
  for (const node of [services.first, services.second]) {
    assert.equal(node.read_only, true);
    assert.match(node.environment.COUNTERSIGN_STORE, /^postgres:/);
  }
});

test("the dashboard asks only for what the server measures, and for all that is its own", async () => {
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
  const source = read("packages/server/src/metrics/metrics.ts");
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

test("names of metrics say their unit, counters that they only grow, and each says what it is", async () => {
  const { text } = await openMetrics("0.1.0").scrape();
  const ours = [...text.matchAll(/^# HELP (countersign_\S+) (.*)\n# TYPE \S+ (\w+)$/gm)];
  assert.ok(ours.length >= 15);
  for (const [, name = "", help = "", type] of ours) {
    assert.ok(help.length > 20, name);
    assert.equal(name.endsWith("_total"), type === "counter", name);
    if (type === "histogram") assert.match(name, /_seconds$/);
    // What belongs to histograms alone (Prometheus, metric names and labels).
    assert.doesNotMatch(text, new RegExp(`^${name}\\{[^}]*\\ble=`, "m"), name);
  }
});
