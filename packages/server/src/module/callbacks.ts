/** Notifies agents that registered a callback (CIBA ping and push). */
import { createAuthReqIds } from "../crypto/auth-req-id.ts";
import { createSeal } from "../crypto/seal.ts";
import { encodeNotification } from "../http/oauth/notification.ts";
import { createCallbackSender } from "../job/callback-sender.ts";
import { createCallbackWorker } from "../job/callback-worker.ts";
import type { ServerModule } from "./module.ts";

export const callbackModule: ServerModule = {
  name: "callbacks",
  open({ policy, rootKey, store, directory, keyring, outbound, onFault }) {
    const worker = createCallbackWorker(
      {
        store,
        policy,
        directory,
        signer: keyring.signer,
        authReqIds: createAuthReqIds(rootKey),
        callbackSeal: createSeal(rootKey, "callbacks"),
        callbackClient: { encode: encodeNotification, send: createCallbackSender(outbound) },
      },
      onFault,
    );
    return {
      jobs: [{ name: "notify", when: ["callback"], work: () => worker.startDue() }],
      idle: worker.idle,
      close: worker.stop,
    };
  },
};
