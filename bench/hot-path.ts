/**
 * How many of each hot operation does one core do in a second, with the store's fsync and the log behind each write?
 * In one process, through `fetch`, without a socket; beside each figure the rate of bare ES256 signatures in the same
 * run, so that figures of two machines can be compared. Prints a table; it asserts nothing about speed.
 */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { actionDigest, cibaGrantType } from "@countersign/protocol";
import { decodeJwt } from "jose";
import { addAgent } from "../packages/server/src/operations/admit.ts";
import {
  basic,
  type Deployment,
  deploy,
  refund,
  requestIdOf,
  rules,
} from "../packages/server/test/deployment.ts";

const count = Number(process.argv[2] ?? 3000);
const concurrency = 64;
const rounds = 3;

/** As in life, there are many agents, and each has only a few requests open. */
const crowd = 150;

type Agent = { readonly id: string; readonly secret: string };
type Flow = {
  readonly agent: Agent;
  readonly ticket: string;
  readonly action: typeof refund;
  token?: string;
  spendId?: string;
};

/** Runs `work` for each item, so many at a time; answers operations per second of CPU and of wall time. */
async function timed<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<{ wall: number; cpu: number }> {
  const queue = items.values();
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (const item of queue) await work(item);
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { wall: items.length / seconds, cpu: items.length / ((user + system) / 1e6) };
}

function bareSignatures(): number {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const start = performance.now();
  for (let at = 0; at < 2000; at += 1)
    sign("sha256", Buffer.from(`${at}`), { key: privateKey, dsaEncoding: "ieee-p1363" });
  return 2000 / ((performance.now() - start) / 1000);
}

async function round(
  place: Deployment,
  agents: readonly Agent[],
  name: number,
  figures: Map<string, { wall: number; cpu: number }[]>,
): Promise<void> {
  const note = (what: string, figure: { wall: number; cpu: number }) =>
    figures.set(what, [...(figures.get(what) ?? []), figure]);
  const expect = (status: number, wanted: number, body: unknown) => {
    if (status !== wanted) throw new Error(`${status}: ${JSON.stringify(body)}`);
  };
  const poll = (agent: Agent, ticket: string) =>
    place.post("/oauth/token", { grant_type: cibaGrantType, auth_req_id: ticket }, basic(agent));
  const ada = await place.enrol("ada@example.com");
  const csrfPage = await (await ada.get("/devices")).text();
  const csrf = /name="csrf" value="([^"]+)"/.exec(csrfPage)?.[1] ?? "";
  const batch = 900;
  for (let start = 0; start < count; start += batch) {
    const actions = Array.from({ length: Math.min(batch, count - start) }, (_, at) => ({
      ...refund,
      order: `${name}-${start + at}`,
    }));
    const flows: Flow[] = [];
    let turn = 0;
    note(
      "ask",
      await timed(actions, async (action) => {
        const agent = agents[turn++ % agents.length]!;
        const form = {
          scope: "openid",
          login_hint: "ada@example.com",
          authorization_details: JSON.stringify([action]),
        };
        const { status, body } = await place.post("/bc-authorize", form, basic(agent));
        expect(status, 200, body);
        flows.push({ agent, ticket: body.auth_req_id, action });
      }),
    );
    note(
      "poll, pending",
      await timed(flows, async ({ agent, ticket }) => {
        const { status, body } = await poll(agent, ticket);
        expect(status, 400, body);
      }),
    );
    const cards = new Map<string, string>();
    for (const { ticket } of flows) {
      const held = await place.server.store.read("approval", requestIdOf(ticket));
      cards.set(ticket, held?.record.cardHash ?? "");
    }
    note(
      "decide, by session",
      await timed(flows, async ({ ticket }) => {
        const body = new URLSearchParams({ csrf, card: cards.get(ticket) ?? "", verdict: "approve" });
        const init = {
          method: "POST",
          headers: { origin: "http://localhost:4400", cookie: ada.cookie },
          body,
        };
        const answer = await place.request(`/requests/${requestIdOf(ticket)}/decision`, init);
        expect(answer.status, 303, "");
      }),
    );
    note(
      "redeem",
      await timed(flows, async (flow) => {
        const { status, body } = await poll(flow.agent, flow.ticket);
        expect(status, 200, body);
        flow.token = body.access_token;
      }),
    );
    const [first] = flows;
    const { act_type_hash: typeHash, aud: audience } = decodeJwt(first?.token ?? "") as {
      act_type_hash: string;
      aud: string;
    };
    const digests = new Map(
      flows.map(({ action: { type, ...bound }, ticket }) => [
        ticket,
        actionDigest({ type, typeHash, audience, bound }),
      ]),
    );
    note(
      "spend: reserve",
      await timed(flows, async (flow) => {
        flow.spendId = randomBytes(16).toString("base64url");
        const form = {
          operation: "reserve",
          token: flow.token ?? "",
          spend_id: flow.spendId,
          act_digest: digests.get(flow.ticket) ?? "",
        };
        const { status, body } = await place.spend(form);
        expect(status, 200, body);
      }),
    );
    note(
      "spend: complete",
      await timed(flows, async ({ token = "", spendId = "" }) => {
        const { status, body } = await place.spend({ operation: "complete", token, spend_id: spendId });
        expect(status, 200, body);
      }),
    );
  }
}

const place = await deploy(rules);
const agents: Agent[] = [];
for (let at = 0; at < crowd; at += 1) {
  const added = await addAgent(place.server.store, {
    id: `agent-${at + 100}`,
    name: "Refund desk",
    types: ["refund"],
    credential: { method: "client_secret_basic" },
  });
  if ("secret" in added) agents.push({ id: `agent-${at + 100}`, secret: added.secret ?? "" });
}
const figures = new Map<string, { wall: number; cpu: number }[]>();
const signatures: number[] = [];
for (let at = 0; at < rounds; at += 1) {
  signatures.push(bareSignatures());
  await round(place, agents, at, figures);
}
await place.close();

const median = (list: readonly number[]) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;
const whole = (value: number) => Math.round(value).toLocaleString("en-US").padStart(10);
console.log(
  `${count} operations in each of ${rounds} rounds, ${concurrency} at a time; Node ${process.version}; medians`,
);
console.log(
  `${"operation".padEnd(22)}${"a second".padStart(10)}${"per CPU s".padStart(10)}${"of bare ES256".padStart(16)}`,
);
const bare = median(signatures);
for (const [what, list] of figures) {
  const [wall, cpu] = [median(list.map((one) => one.wall)), median(list.map((one) => one.cpu))];
  console.log(
    `${what.padEnd(22)}${whole(wall)}${whole(cpu)}${`${((cpu / bare) * 100).toFixed(0)} %`.padStart(16)}`,
  );
}
console.log(`${"bare ES256 signature".padEnd(22)}${whole(bare)}`);
