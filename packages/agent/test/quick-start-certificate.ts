/** A sample of the README. `quick-start.test.ts` runs it. */
// #region certificate
import { readFileSync } from "node:fs";
import { createAgent } from "@countersign/agent";
import { mtlsFetch } from "@countersign/agent/mtls";

export const presenting = mtlsFetch({
  cert: readFileSync(process.env.COUNTERSIGN_CERTIFICATE_FILE!),
  key: readFileSync(process.env.COUNTERSIGN_KEY_FILE!),
});

export const agent = createAgent(
  { issuer: process.env.COUNTERSIGN_ISSUER!, clientId: process.env.COUNTERSIGN_CLIENT_ID! },
  { clientAuthentication: "tls_client_auth", certificateBound: true, fetch: presenting },
);
// #endregion
