import { isIP } from "node:net";
import { z } from "zod";
import { defineObject, defineText } from "../field.ts";
import type { AddProblem } from "../problem.ts";
import { defineSection } from "../section.ts";
import { issuerSection } from "./issuer.ts";

export type PasskeySettings = {
  /** `origin` is the issuer's origin, the only one on which passkeys are accepted. */
  readonly passkeys: { readonly rpId: string; readonly rpName: string; readonly origin: string };
};

export const passkeysSection = defineSection({
  shape: {
    passkeys: defineObject({
      rp_id: z.string(),
      // Shown by the browser when a passkey is created.
      rp_name: defineText(/^[^\p{C}]{1,64}$/u, "a name to show", "write up to 64 visible characters").default(
        "Countersign",
      ),
    }),
  },
  read({ passkeys: { rp_id: rpId, rp_name: rpName } }, { use, addProblem }): PasskeySettings {
    const issuer = use(issuerSection)?.settings.issuer;
    if (issuer === undefined || !URL.canParse(issuer)) return { passkeys: { rpId, rpName, origin: "" } };
    const { hostname, origin } = new URL(issuer);
    checkRpId(hostname, rpId, addProblem);
    return { passkeys: { rpId, rpName, origin } };
  },
  sample: ({
    issuer,
  }) => `# Approvers decide with passkeys. A passkey belongs to a domain: the issuer's, or a parent of it. If rp_id changes, every
# approver must enrol again.
passkeys: { rp_id: ${JSON.stringify(toSampleUrl(issuer).hostname)}, rp_name: Countersign }
`,
});

/** Returns the URL, or the default issuer if it is not a URL: `countersign check` reports that. */
export function toSampleUrl(issuer: string): URL {
  return new URL(URL.canParse(issuer) ? issuer : "http://localhost:4400");
}

/** Checks the WebAuthn relying party id: the issuer's domain or a parent of it. */
function checkRpId(host: string, rpId: string, addProblem: AddProblem): void {
  const path = ["passkeys", "rp_id"];
  if (isIP(host.replace(/^\[|\]$/g, "")) !== 0)
    addProblem({
      path: ["issuer"],
      message: "browsers do not support passkeys for IP addresses",
      remedy: "use a domain name; on this machine, localhost",
    });
  else if (host !== rpId && !host.endsWith(`.${rpId}`))
    addProblem({
      path,
      message: `${rpId} is not the issuer's domain, nor a parent of it`,
      remedy: `write ${host}`,
    });
  else if (!rpId.includes(".") && rpId !== "localhost")
    addProblem({ path, message: `${rpId} is a top-level domain`, remedy: `write ${host}` });
}
