/** Something that nobody waits for went wrong. Not `givenUp`: it will be tried again. */
export type Problem = {
  readonly during: "check" | "reserve" | "complete" | "fail";
  readonly error: Error;
  readonly jti?: string;
  readonly givenUp: boolean;
};
