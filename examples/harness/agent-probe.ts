/**
 * Loaded into an agent's process before the agent: tells the stage what the agent hears, and holds it at the API's door
 * until the stage lets it go on. The agent's own code knows nothing of it, and neither do the SDKs.
 */

/** An answer that reached the agent. Bodies are text, as they came. */
export type Heard = {
  readonly method: string;
  readonly url: string;
  readonly sent: string;
  readonly status: number;
  readonly body: string;
};
/** A call to the API that the agent is about to make, its token in hand. */
export type Call = {
  readonly method: string;
  readonly url: string;
  readonly authorization: string;
  readonly body: string;
};
/** A request that the agent is about to send. */
export type Sent = Pick<Call, "method" | "url">;
export type Told = { readonly sends: Sent } | { readonly heard: Heard } | { readonly call: Call };

const world = globalThis.fetch;
const door = process.env.STAGE_DOOR;
let goOn = () => {};
process.on("message", () => goOn());
// Without its stage there is nobody left to listen.
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
