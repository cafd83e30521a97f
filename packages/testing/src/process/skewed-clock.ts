/** Preloaded into a server process: shifts `Date` by COUNTERSIGN_SKEW_MS. */
const skewMs = Number(process.env.COUNTERSIGN_SKEW_MS ?? 0);
const Real = Date;

globalThis.Date = new Proxy(Real, {
  construct: (date, values: [number]) =>
    values.length > 0 ? new date(...values) : new date(Real.now() + skewMs),
  apply: () => new Real(Real.now() + skewMs).toString(),
  get: (date, name) => (name === "now" ? () => date.now() + skewMs : Reflect.get(date, name)),
});
