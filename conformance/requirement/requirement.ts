/**
 * What specifications ask of a server, as data. Each statement has an id made of its specification, its clause and a
 * number (`ciba-7.1-3`), and says in our own words what has to hold. A scenario that shows it cites the id. Nothing here
 * is executed: `scenario.ts` runs what cites it, and `coverage.test.ts` holds the two together.
 */

/** RFC 2119's words. `shall` of the FAPI documents is MUST here. */
export type Level = "MUST" | "MUST NOT" | "REQUIRED" | "SHOULD" | "SHOULD NOT" | "RECOMMENDED" | "MAY";

/** `knownFailure`: we know that it does not hold, and why. `notApplicable`: it concerns what this server does not have, and why. */
export type Reservation = { readonly knownFailure: string } | { readonly notApplicable: string };

export type Requirement = {
  readonly id: string;
  readonly clause: string;
  readonly level: Level;
  /** In our own words. */
  readonly says: string;
  readonly knownFailure?: string;
  readonly notApplicable?: string;
};

export type Specification = {
  /** What its ids begin with. */
  readonly prefix: string;
  /** As documents and comments call it. */
  readonly name: string;
  readonly title: string;
  readonly requirements: readonly Requirement[];
};

type Row = readonly [level: Level, says: string, reservation?: Reservation];

/** `rows` by clause and number: `7.1-3`. */
export function specification(
  prefix: string,
  name: string,
  title: string,
  rows: { readonly [number: string]: Row },
): Specification {
  const requirements = Object.entries(rows).map(([number, [level, says, reservation]]) => ({
    id: `${prefix}-${number}`,
    clause: number.slice(0, number.lastIndexOf("-")),
    level,
    says,
    ...reservation,
  }));
  return { prefix, name, title, requirements };
}
