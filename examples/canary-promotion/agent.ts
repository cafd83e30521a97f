/**
 * A release agent that watches canaries. If one is healthy, it asks the owner of the service for more traffic in production, with
 * its measurements on the card. Asking, waiting and acting are separate steps, as in a job that any worker can resume: the only
 * state between them is a JSON file. Takes a finding as JSON and prints the outcome.
 */
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { type Ask, type Asked, createAgent, type Granted } from "@countersign/agent";

const {
  COUNTERSIGN_ISSUER: issuer = "",
  COUNTERSIGN_CLIENT_ID: clientId = "",
  COUNTERSIGN_CLIENT_SECRET: clientSecret = "",
  API_URL: api,
} = process.env;
const finding: Finding = JSON.parse(process.argv[2] ?? "");
const { job, service, rollout, environment, weight, measured } = finding;
const file = `${job}.json`;

const agent = createAgent({ issuer, clientId, clientSecret });

const asked = saved() ?? (await askOwner());
console.log(JSON.stringify(asked.outcome === "refused" ? asked : await finish(asked.ask)));

async function askOwner(): Promise<Asked> {
  // #region ask
  const asked = await agent.ask({
    action: { type: "promote_rollout", service, rollout, environment, weight, ...measured },
    approver: "owner",
    message: "The canary has been healthy for an hour. Ready for the next step.",
    lifetimeSeconds: finding.answerWithinSeconds,
    idempotencyKey: job,
  });
  if (asked.outcome === "asked") save(asked.ask);
  // #endregion
  return asked;
}

async function finish(ask: Ask) {
  // #region wait
  const outcome = await agent.wait(ask);
  if (outcome.outcome === "approved") await promote(outcome.action, outcome.token);
  rmSync(file);
  // #endregion
  return outcome;
}

async function promote({ type: _, rollout, ...rest }: Granted, token: string): Promise<void> {
  const response = await fetch(`${api}/rollouts/${rollout}/promotion`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(rest),
  });
  if (!response.ok) throw new Error(`the deployer returned ${response.status}`);
}

/** Writes atomically: a crash leaves no partial file. */
function save(ask: Ask): void {
  writeFileSync(`${file}.draft`, JSON.stringify(ask), { mode: 0o600 });
  renameSync(`${file}.draft`, file);
}

function saved(): Asked | undefined {
  return existsSync(file) ? { outcome: "asked", ask: JSON.parse(readFileSync(file, "utf8")) } : undefined;
}

type Finding = {
  /** Idempotency key: the same job never asks twice. */
  readonly job: string;
  readonly service: string;
  readonly rollout: string;
  readonly environment: "staging" | "prod";
  /** Percent of the traffic. */
  readonly weight: number;
  readonly measured: {
    readonly success_rate: string;
    readonly error_budget: string;
    readonly burn_rate: string;
  };
  readonly answerWithinSeconds?: number;
};
