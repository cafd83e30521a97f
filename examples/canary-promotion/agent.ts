/**
 * A release agent that watches canaries. When one looks well, it asks the owner of the service whether it may have more
 * traffic in production, and puts what it measured on the card. Asking, waiting and acting are three steps here, as in a
 * job that is taken up again by whichever worker is free: between them there is nothing but a JSON file. Takes a
 * finding as JSON, and prints what became of it.
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
  if (!response.ok) throw new Error(`the deployer answered ${response.status}`);
}

/** Whole or not at all: a process that dies in between leaves no half of a file behind. */
function save(ask: Ask): void {
  writeFileSync(`${file}.draft`, JSON.stringify(ask), { mode: 0o600 });
  renameSync(`${file}.draft`, file);
}

function saved(): Asked | undefined {
  return existsSync(file) ? { outcome: "asked", ask: JSON.parse(readFileSync(file, "utf8")) } : undefined;
}

type Finding = {
  /** The name of this one intention: the same job never asks twice. */
  readonly job: string;
  readonly service: string;
  readonly rollout: string;
  readonly environment: "staging" | "prod";
  /** Per cent of the traffic. */
  readonly weight: number;
  readonly measured: {
    readonly success_rate: string;
    readonly error_budget: string;
    readonly burn_rate: string;
  };
  readonly answerWithinSeconds?: number;
};
