/**
 * AuthZEN Authorization API 1.0 over HTTP. Subject: the agent. Action: the action type. Resource: the API, with the bound
 * fields as properties. Context: the approver. One evaluation per approver and part; with `batch`, all in one call.
 */
import type { PermissionQuery } from "../usecase/request/check-permission.ts";
import type { PermissionBackend } from "./backend.ts";

type AuthzenSettings = { readonly url: string; readonly batch: boolean };

/** Without `batch`; the timeout covers all calls together. */
const maxConcurrentCalls = 8;
const maxResponseBytes = 256 * 1024;

export function createAuthzen({ url, batch }: AuthzenSettings, token: string | undefined): PermissionBackend {
  return async (query, signal) => {
    const { agent, parts, approvers } = query;
    const subject = { type: "agent", id: agent };
    const requests = approvers.flatMap((approver) =>
      parts.map((part) => ({ approver: approver.id, ...buildEvaluation(query, part, approver) })),
    );
    const decisions = batch ? await evaluateBatch() : await evaluateEach();
    const denied = new Set(requests.filter((_, at) => !decisions[at]).map(({ approver }) => approver));
    return approvers.map(({ id }) => id).filter((id) => !denied.has(id));

    /** §7: results are in the order of the evaluations. */
    async function evaluateBatch(): Promise<readonly boolean[]> {
      const evaluations = requests.map(({ action, resource, context }) => ({ action, resource, context }));
      const result = await post("/access/v1/evaluations", { subject, evaluations }, signal);
      const results = result.evaluations;
      if (!Array.isArray(results) || results.length !== requests.length)
        throw new Error("the permission check did not return a result for each evaluation");
      return results.map(readDecision);
    }
    /** §6. */
    async function evaluateEach(): Promise<readonly boolean[]> {
      const decisions: boolean[] = [];
      for (let at = 0; at < requests.length; at += maxConcurrentCalls) {
        const results = requests
          .slice(at, at + maxConcurrentCalls)
          .map(({ action, resource, context }) =>
            post("/access/v1/evaluation", { subject, action, resource, context }, signal),
          );
        decisions.push(...(await Promise.all(results)).map(readDecision));
      }
      return decisions;
    }
  };

  async function post(
    path: string,
    body: unknown,
    signal: AbortSignal,
  ): Promise<{ [member: string]: unknown }> {
    const response = await fetch(`${url}${path}`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "application/json",
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(body),
      redirect: "manual",
      signal,
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`the permission check returned status ${response.status} for ${path}`);
    }
    const result: unknown = JSON.parse(await readBounded(response));
    if (typeof result !== "object" || result === null)
      throw new Error("the permission check did not return a JSON object");
    return result as { [member: string]: unknown };
  }
}

function buildEvaluation(
  { audience }: PermissionQuery,
  { type, bound }: PermissionQuery["parts"][number],
  { id, email }: PermissionQuery["approvers"][number],
) {
  return {
    action: { name: type },
    resource: { type: "api", id: audience, properties: bound },
    context: { approver: { id, email } },
  };
}

/** Returns the decision. Throws if it is not a boolean. */
function readDecision(result: unknown): boolean {
  const decision = (result as { decision?: unknown } | null)?.decision;
  if (typeof decision !== "boolean") throw new Error("the permission check returned no decision");
  return decision;
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.byteLength;
    if (length > maxResponseBytes)
      throw new Error(`the permission check returned more than ${maxResponseBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
