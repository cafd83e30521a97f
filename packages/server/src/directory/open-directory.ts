import type { PolicySource } from "../config/policy.ts";
import type { Settings } from "../config/sections.ts";
import type { Store } from "../store/store.ts";
import { createConfigDirectory } from "./config-directory.ts";
import type { Directory } from "./directory.ts";

/** What a directory is chosen by (`settings`) and opened with. One that needs more declares the type of it here. */
export type DirectoryDeps = {
  readonly settings: Settings;
  readonly policy: PolicySource;
  readonly store: Store;
};

/** Opens the directory that the settings select. The configuration is the only one. */
export function openDirectory({ policy, store }: DirectoryDeps): Directory {
  return createConfigDirectory({ policy, store });
}
