/**
 * Runs a server for the official suite's plan `fapi-ciba-id1-test-plan`: prints the suite's configuration as JSON when it
 * listens, and runs until SIGTERM or SIGINT. See `--help`, and `docs/conformance.md` for the setup.
 */
import { parseArgs } from "node:util";
import { openHarness } from "../harness.ts";
import { notificationEndpoint, planOf, suiteConfiguration } from "./configuration.ts";
import type { Variant } from "./module.ts";

const usage = `node conformance/fapi-ciba/serve.ts [options]

  --auth private_key_jwt|mtls   how the two clients prove who they are (private_key_jwt)
  --mode poll|ping              how they learn of an answer (poll)
  --algorithm PS256|ES256       what their keys sign with (PS256)
  --suite URL                   where the suite is called (https://localhost.emobix.co.uk:8443)
  --suite-ca FILE               the authority of the suite's certificate, PEM, where it is none that everybody knows
  --allow RANGE                 addresses beside loopback where the suite may be although they are private; repeatable
  --port PORT                   a port of your choice`;

const { values } = parseArgs({
  options: {
    auth: { type: "string", default: "private_key_jwt" },
    mode: { type: "string", default: "poll" },
    algorithm: { type: "string", default: "PS256" },
    suite: { type: "string", default: "https://localhost.emobix.co.uk:8443" },
    "suite-ca": { type: "string" },
    allow: { type: "string", multiple: true, default: [] },
    port: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
const variant = readVariant(values);
if (values.help || !variant) {
  (values.help ? console.log : console.error)(usage);
  process.exit(values.help ? 0 : 2);
}

const harness = await openHarness({
  ...planOf(variant, notificationEndpoint(values.suite)),
  allow_private: values.allow,
  ...(values["suite-ca"] !== undefined && { trust: values["suite-ca"] }),
  ...(values.port !== undefined && { port: Number(values.port) }),
});
console.log(JSON.stringify(suiteConfiguration(harness, variant), undefined, 2));
console.error(`The authority of the server's certificate: ${harness.folder}/ca.pem`);

for (const signal of ["SIGTERM", "SIGINT"] as const)
  process.once(signal, async () => {
    await harness.close();
    process.exit(0);
  });

function readVariant({ auth, mode, algorithm }: Readonly<Record<string, unknown>>): Variant | undefined {
  const known = { auth: ["private_key_jwt", "mtls"], mode: ["poll", "ping"], algorithm: ["PS256", "ES256"] };
  const given = { auth, mode, algorithm };
  const fits = Object.entries(known).every(([key, words]) =>
    words.includes(String(given[key as keyof typeof given])),
  );
  return fits ? (given as Variant) : undefined;
}
