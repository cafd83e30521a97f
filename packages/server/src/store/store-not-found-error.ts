/** There is no database where one is said to be. Nobody but `init` makes one: with a lost one go every latch, and the log. */
export class StoreNotFoundError extends Error {
  constructor(location: string) {
    super(`there is no database ${location}`);
    this.name = "MissingStore";
  }
}
