/** Formats HTTP traffic and log entries for the demo. */
import type { ReceivedResponse } from "../harness/agent-probe.ts";
import { showProgress } from "../harness/terminal.ts";

/** Shortens a line of the log: omits the date and common members. */
export function shortenEntry(entry: string): string {
  return entry
    .replace(/\d{4}-\d\d-\d\dT([\d:]+)\.\d+Z/, "$1")
    .replace(/ (?:request|agent)=\S+/g, "")
    .replace(/((?:apr|tok)_\w{5})\w+/g, "$1…")
    .trimEnd();
}

/** Shows the agent's polls while a decision is pending. */
export function createPollProgress(decisionMinutes: number) {
  const startedAt = Date.now();
  let polls = 0;
  let started = false;
  return {
    start: () => {
      started = true;
    },
    onResponse: ({ body }: ReceivedResponse) => {
      if (!body.includes("authorization_pending")) return;
      polls += 1;
      const left = Math.max(0, decisionMinutes * 60 - Math.round((Date.now() - startedAt) / 1000));
      const clock = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
      if (started) showProgress(`the agent polls: authorization_pending (${polls})   ${clock} left`);
    },
  };
}

/** Describes the agent's responses; repeated ones are combined. */
export function describeResponses(
  responses: readonly ReceivedResponse[],
): { what: string; status: number; words: string }[] {
  const lines: { what: string; status: number; words: string; times: number }[] = [];
  for (const { method, url, status, body } of responses.filter(({ method }) => method === "POST")) {
    const what = `${method} ${new URL(url).pathname}`;
    const words = describeResponse(status, JSON.parse(body));
    const last = lines.at(-1);
    if (last?.words === words) last.times += 1;
    else lines.push({ what, status, words, times: 1 });
  }
  return lines.map(({ times, words, ...rest }) => ({
    ...rest,
    words: times === 1 ? words : `${words}, ${times} times`,
  }));
}

function describeResponse(status: number, body: Record<string, unknown>): string {
  if (status === 200 && body.auth_req_id) return `request accepted; expires in ${body.expires_in} seconds`;
  if (status === 200) return `approved: a token for this refund, once, within ${body.expires_in} seconds`;
  const reason = body.denial_reason === undefined ? "" : `: “${body.denial_reason}”`;
  return `${body.error}${reason}`;
}

/** Returns the error description of an API or the server. */
export function parseErrorDescription(body: string): string {
  return JSON.parse(body).error_description;
}
