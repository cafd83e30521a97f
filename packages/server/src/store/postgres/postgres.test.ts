import { after, before } from "node:test";
import { type PostgresServer, startPostgres } from "../../../test/postgres.ts";
import { type Opened, storeContract } from "../contract.ts";
import { openPostgres } from "./postgres.ts";

let server: PostgresServer;
before(async () => {
  server = await startPostgres();
});
after(() => server.discard());

let schemas = 0;
storeContract("PostgreSQL", async (): Promise<Opened> => {
  schemas += 1;
  const schema = `test_${schemas}`;
  const open = () => openPostgres({ url: server.url, schema, create: true, max: 4 });
  const handles = [await open()];
  return {
    store: handles[0]!,
    reopen: async () => {
      const handle = await open();
      handles.push(handle);
      return handle;
    },
    discard: async () => {
      for (const handle of handles) await handle.close();
    },
  };
});
