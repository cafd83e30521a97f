import { z } from "zod";
import { defineObject, name } from "../field.ts";
import { freezeMap } from "../freeze.ts";
import type { AddProblem } from "../problem.ts";
import { definePolicy } from "../section.ts";

export type ApiPolicy = {
  readonly apis: ReadonlyMap<string, { readonly audience: string }>;
};

export const apisSection = definePolicy({
  shape: { apis: z.record(name, defineObject({ audience: z.string() })).default({}) },
  read({ apis }, { addProblem }): ApiPolicy {
    checkAudiences(apis, addProblem);
    return { apis: freezeMap(Object.entries(apis)) };
  },
  sample: () => `# The APIs that tokens are for. Each has its own audience and can spend only tokens for it.
apis:
  refunds: { audience: https://refunds.example }
`,
});

function checkAudiences(
  apis: { readonly [name: string]: { readonly audience: string } },
  addProblem: AddProblem,
): void {
  const seen = new Map<string, string>();
  for (const [name, { audience }] of Object.entries(apis)) {
    const path = ["apis", name, "audience"];
    if (!URL.canParse(audience) || audience.includes("#") || !/^[\x21-\x7E]+$/.test(audience))
      addProblem({
        path,
        message: "the audience is not an absolute URI without a fragment (RFC 8707 §2)",
        remedy: "write the URL of the API, such as https://refunds.example",
      });
    const other = seen.get(audience);
    if (other !== undefined)
      addProblem({
        path,
        message: `the API ${other} has the same audience, so it could spend tokens for ${name}`,
        remedy: "give each API a different audience",
      });
    seen.set(audience, name);
  }
}
