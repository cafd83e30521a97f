/** The server installed from its packages: JavaScript under `node_modules`, without type stripping at load. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pack } from "../../scripts/pack.ts";

const installed = new URL("../../node_modules", import.meta.url).pathname;

export type PackedServer = {
  /** Arguments of Node: the flags of the command's first line, and the command. */
  readonly program: readonly string[];
  readonly discard: () => void;
};

/** All other packages are those installed in the repository. */
export function installPacked(): PackedServer {
  const folder = mkdtempSync(join(tmpdir(), "countersign-shipped-"));
  const modules = join(folder, "node_modules");
  mkdirSync(modules);
  for (const name of readdirSync(installed))
    if (name !== "@countersign") symlinkSync(join(installed, name), join(modules, name));
  for (const [name, file] of pack(join(folder, "packages"))) {
    mkdirSync(join(modules, name), { recursive: true });
    execFileSync("tar", ["-xzf", file, "-C", join(modules, name), "--strip-components", "1"]);
  }
  const main = join(modules, "@countersign/server/dist/main.js");
  const [interpreter = ""] = readFileSync(main, "utf8").split("\n");
  return {
    program: [...interpreter.split(" ").filter((flag) => flag.startsWith("--")), main],
    discard: () => rmSync(folder, { recursive: true }),
  };
}
