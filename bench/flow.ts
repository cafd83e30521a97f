/**
 * Measures complete flows per second: request, decision, redemption with JWT access token and ID token and, if the server
 * supports it, spend. The second benchmark omits the spend, so that both servers do the same work.
 */
import type { Comparison } from "./harness/comparison.ts";
import { expectStatus, runScript, type Script } from "./harness/load.ts";
import { type Flow, parseAccessToken, parseAuthReqId } from "./harness/target.ts";

export const flow = createComparison("ask → decide → redeem → spend", true);
export const flowToToken = createComparison("ask → decide → redeem", false);

function createComparison(of: string, spends: boolean): Comparison {
  return {
    of,
    methods: ["secret", "key"],
    count: 500,
    measure: (target, flows) =>
      target.name.startsWith("bare")
        ? undefined
        : runScript(
            target,
            flows.map((one) => createFlowScript(one, spends)),
          ),
  };
}

function createFlowScript({ ask, decide, redeem, reserve }: Flow, spends: boolean): Script {
  let authReqId = "";
  const steps: ((response: Parameters<Script>[0]) => Buffer | undefined)[] = [
    () => ask,
    (response) => {
      expectStatus(response!, 200);
      authReqId = parseAuthReqId(response!);
      return decide(authReqId);
    },
    (response) => {
      expectStatus(response!, 303);
      return redeem(authReqId);
    },
    (response) => {
      expectStatus(response!, 200);
      return spends ? reserve?.(parseAccessToken(response!)) : undefined;
    },
    (response) => {
      expectStatus(response!, 200);
      return undefined;
    },
  ];
  let at = 0;
  return (response) => steps[at++]?.(response);
}

/** The steps after the request, up to the completed spend. */
export function createRestScript({ decide, redeem, reserve, complete }: Flow, authReqId: string): Script {
  let token = "";
  const steps: ((response: Parameters<Script>[0]) => Buffer | undefined)[] = [
    () => decide(authReqId),
    () => redeem(authReqId),
    (response) => {
      token = parseAccessToken(response!);
      return reserve!(token);
    },
    () => complete!(token),
    () => undefined,
  ];
  let at = 0;
  return (response) => {
    if (response) expectStatus(response, at === 1 ? 303 : 200);
    return steps[at++]?.(response);
  };
}
