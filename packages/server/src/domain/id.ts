/** Ids: a word that says what of, the time, 80 random bits. They sort by age and are not secret. */
import { randomFillSync } from "node:crypto";

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

/** Random bytes are fetched from the system in blocks: one system call for many ids. */
const pool = new Uint8Array(4096);
let used = pool.length;

/** `req_01jd…`: 10 characters of milliseconds and 16 random ones, Crockford base32. */
export function newId(prefix: string, at: number): string {
  if (used + 16 > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  let time = "";
  for (let rest = at, n = 0; n < 10; n += 1, rest = Math.floor(rest / 32)) time = alphabet[rest % 32] + time;
  let random = "";
  for (let n = 0; n < 16; n += 1) random += alphabet[pool[used++]! & 31];
  return `${prefix}_${time}${random}`;
}
