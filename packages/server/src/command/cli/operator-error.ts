/** An error that the operator can fix. Printed as a sentence and a remedy, without a stack. */
export class OperatorError extends Error {
  readonly remedy: string | undefined;
  readonly exitCode: number;

  constructor(message: string, remedy?: string, exitCode = 1) {
    super(message);
    this.name = "OperatorError";
    this.remedy = remedy;
    this.exitCode = exitCode;
  }
}
