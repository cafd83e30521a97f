/**
 * A scenario shows that requirements hold, against a running server and over HTTP alone. It cites them by id. Where what
 * it cites is known not to hold, it is run all the same: it has to fail, and the day it passes it breaks the build, so
 * that the data is put right.
 */
import { type TestContext, test } from "node:test";
import type { Requirement } from "./requirement/requirement.ts";
import { requirements } from "./requirements.ts";

type Run = (t: TestContext) => Promise<void>;

/** Throws for an id that nobody has heard of, for one that is not ours, and where only some of the cited hold. */
export function scenario(name: string, cites: readonly string[], run: Run): void {
  const cited = cites.map(requirementOf);
  const knownFailure = cited.filter((one) => one.knownFailure !== undefined);
  if (knownFailure.length === 0) {
    test(name, run);
    return;
  }
  if (knownFailure.length < cited.length)
    throw new Error(`"${name}" cites what holds and what does not: make two scenarios of it`);
  test(`known failure: ${name}`, (t) => failing(t, run, cites));
}

function requirementOf(id: string): Requirement {
  const requirement = requirements.get(id);
  if (!requirement) throw new Error(`there is no requirement ${id}`);
  if (requirement.notApplicable !== undefined)
    throw new Error(`${id} is not ours: ${requirement.notApplicable}`);
  return requirement;
}

async function failing(t: TestContext, run: Run, cites: readonly string[]): Promise<void> {
  try {
    await run(t);
  } catch (error) {
    t.diagnostic(String(error instanceof Error ? error.message : error).split("\n")[0] ?? "");
    return;
  }
  throw new Error(`${cites.join(", ")}: this holds now. Take "knownFailure" away from it.`);
}
