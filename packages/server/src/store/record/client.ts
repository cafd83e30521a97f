import type { Agent, Api } from "../../domain/client/client.ts";
import { defineRecord } from "./define-record.ts";

export const agentRecord = defineRecord<Agent>()({
  id: (agent) => agent.id,
  retention: "kept",
  logged: true,
  cached: true,
});

export const apiRecord = defineRecord<Api>()({
  id: (api) => api.id,
  retention: "kept",
  logged: true,
  cached: true,
});
