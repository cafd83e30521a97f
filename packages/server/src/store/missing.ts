/** There is no database where one is said to be. Nobody but `init` makes one: with a lost one go every latch, and the log. */
export class MissingStore extends Error {
  constructor(place: string) {
    super(`there is no database ${place}`);
    this.name = "MissingStore";
  }
}
