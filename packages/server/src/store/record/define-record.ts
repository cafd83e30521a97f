/**
 * Declares a record kind: how it is found, which columns and indexes its table has, how long it is kept, and whether writing it
 * requires a log entry. Both schemas, the parse cache, the sweeper and the outbox are derived from the declaration.
 */
export type ColumnValue = string | number | null;

/** The same index in both engines, named `<kind>_<name>`. */
export type Index = {
  readonly name: string;
  readonly on: readonly [string, ...string[]];
  readonly unique?: true;
  /** The condition of a partial index, in SQL that both engines read. */
  readonly where?: string;
};

/**
 * `kept`: until a change deletes it. `expires`: until `dueAt`; then the sweeper deletes it (unlogged kinds) or writes
 * its end state (logged kinds). `outbox`: sent at least once, leased before each attempt, so that one node sends it.
 */
export type Retention = "kept" | "expires" | "outbox";

type CommonOptions<R> = {
  readonly id: (record: R) => string;
  /** False for kinds that hold no decision and no authority: they may be written without a log entry. */
  readonly logged: boolean;
  /** Further columns, for readers. A name that ends in `_at` is an instant; all others are text. Default: none. */
  readonly columns?: { readonly [name: string]: (record: R) => ColumnValue };
  /** Default: the primary key and the index on `due_at`, which every table has. */
  readonly indexes?: readonly Index[];
  /** Cache parsed records by their JSON: for kinds that are read by every request and seldom change. */
  readonly cached?: true;
  /** Ids are random, so two inserts never collide. PostgreSQL then takes no lock for an insert. */
  readonly hasRandomId?: true;
};

type DueAt<R> = (record: R) => number | null;
type Lease<R> = (record: R, now: number) => R | undefined;

export type RecordOptions<R> = CommonOptions<R> &
  (
    | { readonly retention: "kept" }
    /** Milliseconds since the epoch; null for a record that has ended already. */
    | { readonly retention: "expires"; readonly dueAt: DueAt<R> }
    | {
        readonly retention: "outbox";
        /** When the next attempt is due, the lease ends, or an abandoned record is deleted; null for never. */
        readonly dueAt: DueAt<R>;
        /** Returns the record as leased, or undefined if it is not due. The record has a column `state`. */
        readonly lease: Lease<R>;
        /** The sweeper deletes abandoned records when they are due. Default: they are kept. */
        readonly deletesAbandoned?: true;
      }
  );

export type RecordDefinition<R> = Required<
  Pick<CommonOptions<R>, "id" | "logged" | "columns" | "indexes">
> & {
  readonly retention: Retention;
  readonly dueAt: DueAt<R>;
  readonly lease: Lease<R>;
  readonly cached: boolean;
  readonly hasRandomId: boolean;
  readonly deletesAbandoned: boolean;
};

/** Called twice, so that the record's type is given and the options' literal types are inferred. */
export function defineRecord<R>() {
  return <const O extends RecordOptions<R>>(
    options: O,
  ): RecordDefinition<R> & Pick<O, "logged" | "retention"> => {
    // Annotated, so that members of the other retentions can be read.
    const all: Partial<RecordDefinition<R>> = options;
    return {
      id: options.id,
      logged: options.logged,
      retention: options.retention,
      columns: options.columns ?? {},
      indexes: options.indexes ?? [],
      dueAt: all.dueAt ?? (() => null),
      lease: all.lease ?? (() => undefined),
      cached: all.cached === true,
      hasRandomId: all.hasRandomId === true,
      deletesAbandoned: all.deletesAbandoned === true,
    };
  };
}
