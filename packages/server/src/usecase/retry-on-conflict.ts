/**
 * Runs an attempt again after a conflict: a record that it read changed before its commit. `attempt` receives the number of
 * the attempt, from 0. Throws after `maxAttempts` conflicts in a row, which only a bug causes.
 */
export async function retryOnConflict<T>(
  maxAttempts: number,
  attempt: (number: number) => Promise<T | "conflict">,
): Promise<T> {
  for (let number = 0; number < maxAttempts; number += 1) {
    const result = await attempt(number);
    if (result !== "conflict") return result;
  }
  throw new Error(`conflict in each of ${maxAttempts} attempts`);
}
