/**
 * A scenario tests requirements, which it cites by id, against a running server and over HTTP only. A scenario of known failures
 * runs as well: it must fail, and breaks the build once it passes, so that the requirement is updated.
 */
import { type TestContext, test } from "node:test";
import type { Requirement } from "./requirement/requirement.ts";
import { requirements } from "./requirements.ts";

type Run = (t: TestContext) => Promise<void>;

/** Declares a scenario. Throws for unknown and not applicable ids, and if only some of the cited requirements hold. */
export function scenario(name: string, cites: readonly string[], run: Run): void {
  const cited = cites.map(requirementOf);
  const knownFailure = cited.filter((one) => one.knownFailure !== undefined);
  if (knownFailure.length === 0) {
    test(name, run);
    return;
  }
  if (knownFailure.length < cited.length)
    throw new Error(
      `"${name}" cites known failures together with other requirements: split it into two scenarios`,
    );
  test(`known failure: ${name}`, (t) => failing(t, run, cites));
}

function requirementOf(id: string): Requirement {
  const requirement = requirements.get(id);
  if (!requirement) throw new Error(`unknown requirement ${id}`);
  if (requirement.notApplicable !== undefined)
    throw new Error(`${id} is not applicable: ${requirement.notApplicable}`);
  return requirement;
}

async function failing(t: TestContext, run: Run, cites: readonly string[]): Promise<void> {
  try {
    await run(t);
  } catch (error) {
    t.diagnostic(String(error instanceof Error ? error.message : error).split("\n")[0] ?? "");
    return;
  }
  throw new Error(`${cites.join(", ")}: this requirement holds now: remove its "knownFailure".`);
}
