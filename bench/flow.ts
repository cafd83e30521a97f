/**
 * Measures complete flows per second: request, decision, redemption with JWT access token and ID token and, if the server
 * supports it, spend. The second benchmark omits the spend, so that both servers do the same work.
 */
import type { Comparison } from "./harness/comparison.ts";
import { expectStatus, runScript, type Script } from "./harness/load.ts";
import { type Flow, ticketIn, tokenIn } from "./harness/target.ts";

export const flow = duelOf("ask → decide → redeem → spend", true);
export const flowToToken = duelOf("ask → decide → redeem", false);

function duelOf(of: string, spends: boolean): Comparison {
  return {
    of,
    methods: ["secret", "key"],
    count: 500,
    measure: (party, flows) =>
      party.name.startsWith("bare")
        ? undefined
        : runScript(
            party,
            flows.map((one) => story(one, spends)),
          ),
  };
}

function story({ ask, decide, redeem, reserve }: Flow, spends: boolean): Script {
  let ticket = "";
  const steps: ((answer: Parameters<Script>[0]) => Buffer | undefined)[] = [
    () => ask,
    (answer) => {
      expectStatus(answer!, 200);
      ticket = ticketIn(answer!);
      return decide(ticket);
    },
    (answer) => {
      expectStatus(answer!, 303);
      return redeem(ticket);
    },
    (answer) => {
      expectStatus(answer!, 200);
      return spends ? reserve?.(tokenIn(answer!)) : undefined;
    },
    (answer) => {
      expectStatus(answer!, 200);
      return undefined;
    },
  ];
  let at = 0;
  return (answer) => steps[at++]?.(answer);
}

/** The steps after the request, up to the completed spend. */
export function spent({ decide, redeem, reserve, complete }: Flow, ticket: string): Script {
  let token = "";
  const steps: ((answer: Parameters<Script>[0]) => Buffer | undefined)[] = [
    () => decide(ticket),
    () => redeem(ticket),
    (answer) => {
      token = tokenIn(answer!);
      return reserve!(token);
    },
    () => complete!(token),
    () => undefined,
  ];
  let at = 0;
  return (answer) => {
    if (answer) expectStatus(answer, at === 1 ? 303 : 200);
    return steps[at++]?.(answer);
  };
}
