/**
 * All requirements, by specification. Scenarios cite them, and `coverage.ts` counts the citations.
 */
import { ciba } from "./requirement/ciba.ts";
import { cibaResult } from "./requirement/ciba-result.ts";
import { rfc7523, rfc8705 } from "./requirement/client-authentication.ts";
import { fapi, fapiCiba } from "./requirement/fapi.ts";
import { rfc8414, rfc8707 } from "./requirement/metadata.ts";
import { rfc7591, rfc7592 } from "./requirement/registration.ts";
import type { Requirement, Specification } from "./requirement/requirement.ts";
import { rfc9396 } from "./requirement/rfc9396.ts";
import { rfc9449 } from "./requirement/rfc9449.ts";
import { rfc7009, rfc7662, rfc9068 } from "./requirement/token.ts";

export const specifications: readonly Specification[] = [
  { ...ciba, requirements: [...ciba.requirements, ...cibaResult.requirements] },
  fapiCiba,
  fapi,
  rfc9396,
  rfc7523,
  rfc8705,
  rfc9449,
  rfc9068,
  rfc7662,
  rfc7009,
  rfc8414,
  rfc8707,
  rfc7591,
  rfc7592,
];

export const requirements: ReadonlyMap<string, Requirement> = new Map(
  specifications.flatMap(({ requirements }) => requirements.map((one) => [one.id, one])),
);
