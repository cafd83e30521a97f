/** Record ids: a prefix that names the kind, the time, 80 random bits. They sort by creation time and are not secret. */
import { randomFillSync } from "node:crypto";

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

/** Random bytes are read in blocks: one system call for 256 ids. */
const pool = new Uint8Array(4096);
let used = pool.length;

/** Creates an id such as `req_01jd…`: 10 characters of milliseconds and 16 random ones, Crockford base32. */
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
