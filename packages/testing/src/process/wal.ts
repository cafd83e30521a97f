/**
 * Reads the write-ahead log of a SQLite database (sqlite.org/fileformat2, "The Write-Ahead Log") to find its commits.
 */
import { existsSync, readFileSync } from "node:fs";

const headerBytes = 32;
const frameHeaderBytes = 24;

/** Returns the end offset of each commit in the write-ahead log, in order. */
export function readCommitEnds(path: string): readonly number[] {
  if (!existsSync(`${path}-wal`)) return [];
  const wal = readFileSync(`${path}-wal`);
  if (wal.length < headerBytes) return [];
  const pageBytes = wal.readUInt32BE(8);
  const salt = wal.subarray(16, 24);
  const ends: number[] = [];
  for (
    let at = headerBytes;
    at + frameHeaderBytes + pageBytes <= wal.length;
    at += frameHeaderBytes + pageBytes
  ) {
    // Frames left over from before the log was restarted have another salt.
    if (!wal.subarray(at + 8, at + 16).equals(salt)) break;
    // Only the last frame of a commit says how large the database is after it.
    if (wal.readUInt32BE(at + 4) > 0) ends.push(at + frameHeaderBytes + pageBytes);
  }
  return ends;
}
