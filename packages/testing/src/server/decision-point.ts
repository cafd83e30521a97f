/**
 * Policy decision points for tests, on loopback: one that speaks AuthZEN 1.0, one that speaks OpenFGA's batch check. Both
 * decide by what the test says, keep what they were asked, and can be told to misbehave.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type DecisionPoint = {
  readonly url: string;
  /** What was asked: the path, the `Authorization` header, the body. */
  readonly asked: { readonly path: string; readonly authorization: string | undefined; readonly body: any }[];
  /** Takes the place of answering as agreed, for as long as it is set. */
  misbehave: ((response: ServerResponse) => void) | undefined;
  readonly close: () => Promise<void>;
};

type Evaluation = {
  readonly subject: any;
  readonly action: any;
  readonly resource: any;
  readonly context: any;
};

/** AuthZEN §6 and §7. */
export function authzen(decide: (evaluation: Evaluation) => boolean): Promise<DecisionPoint> {
  return listen((path, body) => {
    if (path === "/access/v1/evaluation") return { decision: decide(body) };
    if (path !== "/access/v1/evaluations") return undefined;
    const evaluations = body.evaluations.map((one: Partial<Evaluation>) => ({ ...body, ...one }));
    return { evaluations: evaluations.map((one: Evaluation) => ({ decision: decide(one) })) };
  });
}

/** `tuples` are `user relation object`; the store is whichever is asked for. */
export function openFga(tuples: Set<string>): Promise<DecisionPoint> {
  return listen((path, body) => {
    if (!/^\/stores\/[0-9A-Z]{26}\/batch-check$/.test(path)) return undefined;
    const answers = body.checks.map(({ tuple_key: { user, relation, object }, correlation_id: id }: any) => [
      id,
      { allowed: tuples.has(`${user} ${relation} ${object}`) },
    ]);
    return { result: Object.fromEntries(answers) };
  });
}

async function listen(answer: (path: string, body: any) => unknown): Promise<DecisionPoint> {
  const asked: DecisionPoint["asked"] = [];
  const server = createServer((request, response) => void serve(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const point: DecisionPoint = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    misbehave: undefined,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request) text += chunk;
    const body = JSON.parse(text);
    const path = request.url ?? "";
    asked.push({ path, authorization: request.headers.authorization, body });
    if (point.misbehave) return point.misbehave(response);
    const said = answer(path, body);
    response.writeHead(said === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(said ?? {}));
  }
  return point;
}
