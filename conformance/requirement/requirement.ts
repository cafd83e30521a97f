/**
 * Requirements of the specifications for a server, as data. Each statement has an id made of its specification, its clause and a
 * number (`ciba-7.1-3`), and is in our own words. Scenarios cite the ids; `coverage.test.ts` checks that all are covered.
 */

/** The key words of RFC 2119. `shall` of the FAPI documents is MUST here. */
export type Level = "MUST" | "MUST NOT" | "REQUIRED" | "SHOULD" | "SHOULD NOT" | "RECOMMENDED" | "MAY";

/** `knownFailure`: why the requirement is not met. `notApplicable`: why it does not apply to this server. */
export type Reservation = { readonly knownFailure: string } | { readonly notApplicable: string };

export type Requirement = {
  readonly id: string;
  readonly clause: string;
  readonly level: Level;
  /** The requirement in our own words. With MUST NOT and SHOULD NOT it states what is forbidden. */
  readonly statement: string;
  readonly knownFailure?: string;
  readonly notApplicable?: string;
};

export type Specification = {
  /** Prefix of its ids. */
  readonly prefix: string;
  /** Name used in documents and comments. */
  readonly name: string;
  readonly title: string;
  readonly requirements: readonly Requirement[];
};

type Row = readonly [level: Level, statement: string, reservation?: Reservation];

/** Creates a specification. The keys of `rows` are clause and number: `7.1-3`. */
export function specification(
  prefix: string,
  name: string,
  title: string,
  rows: { readonly [number: string]: Row },
): Specification {
  const requirements = Object.entries(rows).map(([number, [level, statement, reservation]]) => ({
    id: `${prefix}-${number}`,
    clause: number.slice(0, number.lastIndexOf("-")),
    level,
    statement: statement,
    ...reservation,
  }));
  return { prefix, name, title, requirements };
}
