/** As the package's documentation has it: the request is held until somebody has decided. */
import { Auth0Client } from "@auth0/nextjs-auth0/server";

const auth0 = new Auth0Client({
  domain: process.env.ISSUER,
  clientId: process.env.CLIENT_ID,
  clientSecret: process.env.CLIENT_SECRET,
  appBaseUrl: process.env.APP_BASE_URL,
  secret: process.env.AUTH0_SECRET,
  allowInsecureRequests: true,
});

export async function POST(request) {
  const { approver, details } = await request.json();
  try {
    const granted = await auth0.getTokenByBackchannelAuth({
      bindingMessage: "Ticket 5512",
      loginHint: { sub: approver },
      authorizationDetails: details,
      requestedExpiry: 120,
    });
    return Response.json({ granted });
  } catch (error) {
    return Response.json({ code: error.code, cause: error.cause?.code }, { status: 403 });
  }
}
