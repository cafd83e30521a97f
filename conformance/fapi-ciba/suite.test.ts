/** Runs our implementation of every module of `fapi-ciba-id1-test-plan`, in four variants. */
import { test } from "node:test";
import { modulesOf, type Variant } from "./module.ts";
import { moduleTests } from "./run-plan.ts";
import { createModuleRun, openSuiteServer } from "./suite-harness.ts";

const variants: readonly Variant[] = [
  { auth: "private_key_jwt", mode: "poll", algorithm: "PS256" },
  { auth: "private_key_jwt", mode: "ping", algorithm: "ES256" },
  { auth: "mtls", mode: "poll", algorithm: "ES256" },
  { auth: "mtls", mode: "ping", algorithm: "PS256" },
];

for (const variant of variants) {
  const suiteServer = await openSuiteServer(variant);
  for (const name of modulesOf(variant))
    test(`${name} (${Object.values(variant).join(", ")})`, (t) =>
      moduleTests[name](createModuleRun(suiteServer, name, t)));
}
