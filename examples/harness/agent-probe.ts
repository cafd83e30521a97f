/**
 * Preloaded into an agent's process: reports the agent's HTTP traffic to the harness, and holds calls to the API until the harness
 * releases them. Agent and SDKs are unmodified.
 */

/** A response received by the agent, with its body as text. */
export type Heard = {
  readonly method: string;
  readonly url: string;
  readonly sent: string;
  readonly status: number;
  readonly body: string;
};
/** A call to the API, with its token, before it is sent. */
export type Call = {
  readonly method: string;
  readonly url: string;
  readonly authorization: string;
  readonly body: string;
};
/** A request before it is sent. */
export type Sent = Pick<Call, "method" | "url">;
export type Told = { readonly sends: Sent } | { readonly heard: Heard } | { readonly call: Call };

const world = globalThis.fetch;
const door = process.env.STAGE_DOOR;
let goOn = () => {};
process.on("message", () => goOn());
// End with the harness.
process.on("disconnect", () => process.exit(1));
process.channel?.unref();

const tell = (told: Told) => process.send?.(told);

globalThis.fetch = async (input, init) => {
  const request = new Request(input, init);
  const { method, url } = request;
  const sent = await request.clone().text();
  if (door && url.startsWith(door)) {
    const call = { method, url, authorization: request.headers.get("authorization") ?? "", body: sent };
    const released = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    process.channel?.ref();
    tell({ call });
    await released;
    process.channel?.unref();
  }
  tell({ sends: { method, url } });
  const response = await world(request);
  const body = await response.clone().text();
  tell({ heard: { method, url, sent, status: response.status, body } });
  return response;
};
