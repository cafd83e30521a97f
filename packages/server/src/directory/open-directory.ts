import type { PolicySource } from "../config/policy.ts";
import type { Store } from "../store/store.ts";
import { createConfigDirectory } from "./config-directory.ts";
import type { Directory } from "./directory.ts";

/** Opens the directory. There is one today: the configuration. */
export function openDirectory(policy: PolicySource, store: Store): Directory {
  return createConfigDirectory({ policy, store });
}
