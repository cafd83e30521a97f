/** The demo's words for what went over the wire, and for what the log says. */
import type { Heard } from "../harness/agent-probe.ts";
import { meanwhile } from "../harness/terminal.ts";

/** A line of the log that fits a window: the day, and what all lines have in common, left out. */
export function shorter(entry: string): string {
  return entry
    .replace(/\d{4}-\d\d-\d\dT([\d:]+)\.\d+Z/, "$1")
    .replace(/ (?:request|agent)=\S+/g, "")
    .replace(/((?:apr|tok)_\w{5})\w+/g, "$1…")
    .trimEnd();
}

/** Follows what the agent hears while somebody decides. */
export function listenTo(patientMinutes: number) {
  const began = Date.now();
  let polls = 0;
  let started = false;
  return {
    start: () => {
      started = true;
    },
    hear: ({ body }: Heard) => {
      if (!body.includes("authorization_pending")) return;
      polls += 1;
      const left = Math.max(0, patientMinutes * 60 - Math.round((Date.now() - began) / 1000));
      const clock = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
      if (started)
        meanwhile(`the agent asks how it stands: authorization_pending (${polls})   ${clock} left`);
    },
  };
}

/** What reached the agent, in words; the same answer in a row is told once. */
export function told(heard: readonly Heard[]): { what: string; status: number; words: string }[] {
  const lines: { what: string; status: number; words: string; times: number }[] = [];
  for (const { method, url, status, body } of heard.filter(({ method }) => method === "POST")) {
    const what = `${method} ${new URL(url).pathname}`;
    const words = meaning(status, JSON.parse(body));
    const last = lines.at(-1);
    if (last?.words === words) last.times += 1;
    else lines.push({ what, status, words, times: 1 });
  }
  return lines.map(({ times, words, ...rest }) => ({
    ...rest,
    words: times === 1 ? words : `${words}, ${times} times`,
  }));
}

function meaning(status: number, body: Record<string, unknown>): string {
  if (status === 200 && body.auth_req_id) return `asked; open for ${body.expires_in} seconds`;
  if (status === 200) return `approved: a token for this refund, once, within ${body.expires_in} seconds`;
  const reason = body.denial_reason === undefined ? "" : `: “${body.denial_reason}”`;
  return `${body.error}${reason}`;
}

/** What an API or the server says in an error's description. */
export function why(body: string): string {
  return JSON.parse(body).error_description;
}
