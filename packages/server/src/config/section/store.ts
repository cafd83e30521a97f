import { file } from "../field.ts";
import { defineSection } from "../section.ts";
import { isPostgres } from "../url-check.ts";

export type StoreSettings = {
  /** A `postgres://` URL, or the absolute path of a SQLite file. */
  readonly store: string;
  /** The root key: an absolute path. */
  readonly keyFile: string;
  /** The Unix domain socket of `countersign reload`: an absolute path. Default: beside a SQLite store; none with PostgreSQL. */
  readonly controlSocket?: string;
};

export const storeSection = defineSection({
  shape: {
    // Default: in a separate directory beside the configuration, which a backup can include.
    store: file
      .refine((store) => !/^postgres(ql)?:\/\/[^/]*:[^/@]*@/.test(store), {
        error:
          "the URL contains a password\nremove it and set PGPASSWORD, or set the whole URL in COUNTERSIGN_STORE",
      })
      .default("./countersign-data/countersign.db"),
    key_file: file.default("./countersign-data/countersign.key"),
    control_socket: file.optional(),
  },
  read({ store, key_file, control_socket }, { resolvePath }): StoreSettings {
    return {
      store: isPostgres(store) ? store : resolvePath(store),
      keyFile: resolvePath(key_file),
      ...(control_socket !== undefined && { controlSocket: resolvePath(control_socket) }),
    };
  },
  sample:
    () => `# Paths are relative to this file. The root key encrypts secrets in the store: back it up, but never together with the
# store. The environment variable COUNTERSIGN_KEY can replace the file.
store: ./countersign-data/countersign.db
key_file: ./countersign-data/countersign.key
`,
});
