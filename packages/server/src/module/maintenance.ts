/** Sweeps records that are due, signs checkpoints of the audit log, and reloads keys that another node rotated. */
import { createCheckpointWriter } from "../audit/checkpoint-file.ts";
import { sweep } from "../job/sweep.ts";
import { sweptKinds } from "../store/record/records.ts";
import { writeCheckpoint } from "../usecase/audit/checkpoint.ts";
import type { ServerModule } from "./module.ts";

export const maintenanceModule: ServerModule = {
  name: "maintenance",
  open({ settings, store, keyring }) {
    const publish = createCheckpointWriter(settings.log.checkpointFile);
    const { signCheckpoint } = keyring;
    return {
      jobs: [
        { name: "sweep", when: sweptKinds, work: (found) => sweep(store, found) },
        {
          name: "checkpoint",
          when: ["log"],
          work: () => writeCheckpoint({ store, signCheckpoint, publish }),
        },
        { name: "keys", when: { everyMs: 30_000 }, work: () => keyring.reload() },
      ],
    };
  },
};
