/** The `auth0` package: `AuthenticationClient.backchannel`, with separate calls for the request and each token request. */
import { setTimeout as sleep } from "node:timers/promises";
import { AuthApiError, AuthenticationClient } from "auth0/legacy";

const { DOMAIN = "", CLIENT_ID = "", CLIENT_SECRET = "", APPROVER = "", DETAILS = "" } = process.env;
const auth0 = new AuthenticationClient({ domain: DOMAIN, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET });

const asked = await auth0.backchannel.authorize({
  userId: APPROVER,
  scope: "openid",
  binding_message: "Ticket 5512",
  requested_expiry: "120",
  authorization_details: DETAILS,
});
let pending = 0;
for (;;)
  try {
    const granted = await auth0.backchannel.backchannelGrant({ auth_req_id: asked.auth_req_id });
    console.log(JSON.stringify({ asked, pending, granted }));
    break;
  } catch (error) {
    if (!(error instanceof AuthApiError)) throw error;
    if (error.error !== "authorization_pending") {
      console.log(
        JSON.stringify({ asked, pending, error: error.error, description: error.error_description }),
      );
      break;
    }
    pending += 1;
    await sleep(asked.interval * 1000);
  }
