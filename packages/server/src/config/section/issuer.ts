import { isLoopbackHost } from "@countersign/protocol";
import { z } from "zod";
import { defineSection } from "../section.ts";
import { findUrlProblem } from "../url-check.ts";

/** The public URL of the server, without a trailing slash; never derived from a request. */
export const issuerSection = defineSection({
  shape: { issuer: z.string() },
  read({ issuer }, { addProblem }): { readonly issuer: string } {
    // Issuers are compared as strings (OpenID Connect Discovery §4.3), so one spelling is accepted.
    const problem = findUrlProblem(issuer, "issuer");
    if (problem) addProblem({ path: ["issuer"], ...problem });
    else if (issuer.startsWith("http:") && !isLoopbackHost(new URL(issuer).hostname))
      addProblem({
        path: ["issuer"],
        message: "http is not secure: tokens could be read and requests changed in transit",
        remedy: "use https; http is for localhost only",
      });
    return { issuer };
  },
  sample: ({
    issuer,
  }) => `# The URL that agents, APIs and approvers use. It is part of every token. https, except on localhost.
issuer: ${JSON.stringify(issuer)}
`,
});
