/** `@auth0/auth0-server-js`: `ServerClient.loginBackchannel`, which stores the granted tokens in a session. */
import { ServerClient } from "@auth0/auth0-server-js";

const { DOMAIN = "", CLIENT_ID = "", CLIENT_SECRET = "", APPROVER = "", DETAILS = "" } = process.env;

/** The session store that its documentation asks applications to provide. */
function memory(): any {
  const kept = new Map<string, unknown>();
  return {
    get: async (id: string) => kept.get(id),
    set: async (id: string, state: unknown) => void kept.set(id, state),
    delete: async (id: string) => void kept.delete(id),
    deleteByLogoutToken: async () => {},
  };
}

const client = new ServerClient({
  domain: DOMAIN,
  clientId: CLIENT_ID,
  clientSecret: CLIENT_SECRET,
  transactionStore: memory(),
  stateStore: memory(),
});

try {
  const granted = await client.loginBackchannel({
    bindingMessage: "Ticket 5512",
    loginHint: { sub: APPROVER },
    authorizationParams: { authorization_details: DETAILS, requested_expiry: "120" },
  });
  const session = await client.getSession();
  console.log(JSON.stringify({ granted, approver: session?.user?.sub }));
} catch (error) {
  const { cause, code } = error as { cause?: { error?: string }; code?: string };
  if (code === undefined) throw error;
  console.log(JSON.stringify({ code, error: cause?.error }));
}
