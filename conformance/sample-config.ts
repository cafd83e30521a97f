/** Writes the configuration of a server under test: `countersign.yaml` beside this file, at its own port and folder. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CertificateAuthority } from "@countersign/testing/server/certificate";
import { parseDocument } from "yaml";
import type { FullPlan } from "./plan.ts";

const template = new URL("countersign.yaml", import.meta.url);

/** Returns the path of the file. */
export async function writeRules(
  plan: FullPlan,
  folder: string,
  port: number,
  certificates: CertificateAuthority,
): Promise<string> {
  const rules = parseDocument(readFileSync(template, "utf8"));
  const issuer = `${plan.https ? "https" : "http"}://localhost:${port}`;
  rules.set("issuer", issuer);
  rules.setIn(["listen", "port"], port);
  writeFileSync(join(folder, "ca.pem"), certificates.ca);
  const trusted = [certificates.ca, ...(plan.trust ? [readFileSync(plan.trust, "utf8")] : [])];
  writeFileSync(join(folder, "trusted.pem"), trusted.join("\n"));
  rules.set("outbound", {
    allow_private: ["127.0.0.0/8", "::1/128", ...plan.allow_private],
    ca_file: "trusted.pem",
  });
  for (const [at, [issuer, jwks]] of Object.entries(plan.login_hint_issuers).entries()) {
    const file = `login-hint-issuer-${at}.json`;
    writeFileSync(join(folder, file), JSON.stringify(jwks));
    rules.setIn(["login_hint_issuers", issuer], { jwks_file: file });
  }
  if (plan.https) {
    const { certificate, key } = await certificates.issueForServer("localhost");
    writeFileSync(join(folder, "server.pem"), certificate);
    writeFileSync(join(folder, "server.key"), key, { mode: 0o600 });
    rules.setIn(["listen", "tls"], { certificate: "server.pem", key: "server.key" });
    // The one listener requests client certificates and does not require them.
    rules.set("mtls", { url: issuer, authorities: "ca.pem" });
  }
  rules.setIn(["limits", "poll_interval"], plan.poll_interval);
  rules.setIn(
    ["groups", "finance"],
    plan.approvers.map(({ email }) => email),
  );
  if (plan.user_codes) rules.set("user_codes", true);
  if (plan.registration) rules.set("registration", { enabled: true });
  if (plan.dpop_nonce) rules.set("dpop", { require_nonce: true });
  for (const scope of plan.scopes)
    rules.setIn(["scopes", scope], {
      api: "calendar",
      sentence: `Pass ${scope}`,
      approvers: { groups: ["finance"] },
      level: "session",
      reversibility: "reversible",
      lifetime: { default: plan.lifetime, max: 600 },
    });
  const file = join(folder, "countersign.yaml");
  writeFileSync(file, rules.toString({ lineWidth: 0 }));
  return file;
}
