/** Runs our implementation of every module of `fapi-ciba-id1-test-plan`, in four variants. */
import { test } from "node:test";
import { modulesOf, type Variant } from "./module.ts";
import { plays } from "./run-plan.ts";
import { openStage, sceneOf } from "./suite-harness.ts";

const variants: readonly Variant[] = [
  { auth: "private_key_jwt", mode: "poll", algorithm: "PS256" },
  { auth: "private_key_jwt", mode: "ping", algorithm: "ES256" },
  { auth: "mtls", mode: "poll", algorithm: "ES256" },
  { auth: "mtls", mode: "ping", algorithm: "PS256" },
];

for (const variant of variants) {
  const stage = await openStage(variant);
  for (const name of modulesOf(variant))
    test(`${name} (${Object.values(variant).join(", ")})`, (t) => plays[name](sceneOf(stage, name, t)));
}
