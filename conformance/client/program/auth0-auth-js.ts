/** `@auth0/auth0-auth-js`: `AuthClient`, which requests and polls in one call, or in two steps. */
import { AuthClient, BackchannelAuthenticationError } from "@auth0/auth0-auth-js";

const { DOMAIN = "", CLIENT_ID = "", CLIENT_SECRET = "", APPROVER = "", DETAILS = "[]" } = process.env;
const client = new AuthClient({ domain: DOMAIN, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET });

try {
  const granted = await client.backchannelAuthentication({
    bindingMessage: "Ticket 5512",
    loginHint: { sub: APPROVER },
    requestedExpiry: 120,
    authorizationDetails: JSON.parse(DETAILS),
  });
  const { accessToken, idToken, refreshToken, scope, expiresAt, tokenType, claims, authorizationDetails } =
    granted;
  console.log(
    JSON.stringify({
      granted: {
        accessToken,
        idToken,
        refreshToken,
        scope,
        expiresAt,
        tokenType,
        claims,
        authorizationDetails,
      },
    }),
  );
} catch (error) {
  if (!(error instanceof BackchannelAuthenticationError)) throw error;
  console.log(JSON.stringify({ error: error.cause?.error, description: error.cause?.error_description }));
}
