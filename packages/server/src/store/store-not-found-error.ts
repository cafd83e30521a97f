/**
 * The database does not exist. Only `init` creates one: starting empty would silently lose all denials and the log.
 */
export class StoreNotFoundError extends Error {
  constructor(location: string) {
    super(`there is no database ${location}`);
    this.name = "StoreNotFoundError";
  }
}
