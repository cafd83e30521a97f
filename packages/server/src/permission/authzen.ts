/**
 * AuthZEN Authorization API 1.0 over HTTP: the subject is the agent, the action the action type, the resource the API with
 * the bound fields as its properties, and the context says which approver would be asked. One evaluation for each approver
 * and each part of the action; in one call, where the other side answers many at once.
 */
import type { Question } from "../operations/permission.ts";
import type { Checker } from "./checker.ts";

type Settings = { readonly url: string; readonly batch: boolean };

/** Calls at the same time; a group of approvers is small, and the limit of time is for all of them. */
const atOnce = 8;
const longestAnswer = 256 * 1024;

export function createAuthzen({ url, batch }: Settings, token: string | undefined): Checker {
  return async (question, signal) => {
    const { agent, parts, approvers } = question;
    const subject = { type: "agent", id: agent };
    const asked = approvers.flatMap((approver) =>
      parts.map((part) => ({ approver: approver.id, ...evaluation(question, part, approver) })),
    );
    const decisions = batch ? await together() : await oneByOne();
    const denied = new Set(asked.filter((_, at) => !decisions[at]).map(({ approver }) => approver));
    return approvers.map(({ id }) => id).filter((id) => !denied.has(id));

    /** §7: answers in the order of the questions. */
    async function together(): Promise<readonly boolean[]> {
      const evaluations = asked.map(({ action, resource, context }) => ({ action, resource, context }));
      const answer = await post("/access/v1/evaluations", { subject, evaluations }, signal);
      const answers = answer.evaluations;
      if (!Array.isArray(answers) || answers.length !== asked.length)
        throw new Error("the permission check did not answer each evaluation");
      return answers.map(decisionIn);
    }
    /** §6. */
    async function oneByOne(): Promise<readonly boolean[]> {
      const decisions: boolean[] = [];
      for (let at = 0; at < asked.length; at += atOnce) {
        const answers = asked
          .slice(at, at + atOnce)
          .map(({ action, resource, context }) =>
            post("/access/v1/evaluation", { subject, action, resource, context }, signal),
          );
        decisions.push(...(await Promise.all(answers)).map(decisionIn));
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
      throw new Error(`the permission check answered ${response.status} at ${path}`);
    }
    const answer: unknown = JSON.parse(await readBounded(response));
    if (typeof answer !== "object" || answer === null)
      throw new Error("the permission check answered no object");
    return answer as { [member: string]: unknown };
  }
}

function evaluation(
  { audience }: Question,
  { type, bound }: Question["parts"][number],
  { id, email }: Question["approvers"][number],
) {
  return {
    action: { name: type },
    resource: { type: "api", id: audience, properties: bound },
    context: { approver: { id, email } },
  };
}

/** Neither true nor false is no answer. */
function decisionIn(answer: unknown): boolean {
  const decision = (answer as { decision?: unknown } | null)?.decision;
  if (typeof decision !== "boolean") throw new Error("the permission check answered without a decision");
  return decision;
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.byteLength;
    if (length > longestAnswer) throw new Error("the permission check answered at too great a length");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
