/**
 * Policy decision points on loopback: AuthZEN 1.0 and the batch check of OpenFGA. Decisions are made by the test, and
 * requests are recorded.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type DecisionPoint = {
  readonly url: string;
  /** The requests received so far. */
  readonly received: {
    readonly path: string;
    readonly authorization: string | undefined;
    readonly body: any;
  }[];
  /** Writes the response instead of a decision, while set. */
  override: ((response: ServerResponse) => void) | undefined;
  readonly close: () => Promise<void>;
};

type Evaluation = {
  readonly subject: any;
  readonly action: any;
  readonly resource: any;
  readonly context: any;
};

/** Starts an AuthZEN decision point (§6, §7) that decides with this function. */
export function startAuthzen(decide: (evaluation: Evaluation) => boolean): Promise<DecisionPoint> {
  return listen((path, body) => {
    if (path === "/access/v1/evaluation") return { decision: decide(body) };
    if (path !== "/access/v1/evaluations") return undefined;
    const evaluations = body.evaluations.map((one: Partial<Evaluation>) => ({ ...body, ...one }));
    return { evaluations: evaluations.map((one: Evaluation) => ({ decision: decide(one) })) };
  });
}

/** Starts an OpenFGA server with tuples written as `user relation object`; any store id is accepted. */
export function startOpenFga(tuples: Set<string>): Promise<DecisionPoint> {
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
  const asked: DecisionPoint["received"] = [];
  const server = createServer((request, response) => void serve(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const point: DecisionPoint = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received: asked,
    override: undefined,
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
    if (point.override) return point.override(response);
    const said = answer(path, body);
    response.writeHead(said === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(said ?? {}));
  }
  return point;
}
