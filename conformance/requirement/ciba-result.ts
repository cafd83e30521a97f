/** CIBA §10 to §14: how the answer comes to the client, and what errors are called. */
import { specification } from "./requirement.ts";

const callbacks = { unmet: "there is no ping and no push yet" };
const noRefresh = { notOurs: "there are no refresh tokens: an approval is one token for one action" };

export const cibaResult = specification("ciba", "CIBA", "", {
  "10-1": ["MUST", "The result goes only the way that the client registered for.", callbacks],
  "10.1-1": ["MUST", "The client is authenticated at the token endpoint."],
  "10.1-2": [
    "SHOULD",
    "A held poll is answered within thirty seconds.",
    { unmet: "there is no long polling yet" },
  ],
  "10.1-3": [
    "MAY",
    "A held poll is answered as soon as there is a result.",
    { unmet: "there is no long polling yet" },
  ],
  "10.1-4": ["MUST", "A ping client that polls is treated as a poll client.", callbacks],
  "10.1-5": ["REQUIRED", "The token request names the CIBA grant type."],
  "10.1-6": ["REQUIRED", "The token request names the auth_req_id."],
  "10.1-7": ["MUST", "An auth_req_id that was given to another client is an error."],
  "10.1.1-1": [
    "MUST",
    "A successful answer has access token, token type and ID token as OpenID Connect says, and is not cached.",
  ],
  "10.1.1-2": ["MUST", "An auth_req_id that was redeemed is not valid any more."],
  "10.1.1-3": ["MUST", "As long as nobody has approved, the answer is an error."],
  "10.2-1": ["MUST", "A ping client is notified by POST after approval and after failure.", callbacks],
  "10.2-2": [
    "MUST",
    "A ping is JSON, carries the bearer token, and says nothing but the auth_req_id.",
    callbacks,
  ],
  "10.2-3": ["SHOULD", "200 with any body is as good an answer to a ping as 204.", callbacks],
  "10.2-4": ["MUST NOT", "A ping follows redirects.", callbacks],
  "10.3.1-1": ["MUST", "A push is JSON: the token response and the auth_req_id.", callbacks],
  "10.3.1-2": ["MUST", "A pushed ID token has at_hash and the auth_req_id.", callbacks],
  "10.3.1-3": ["MUST", "A pushed ID token has the hash of a refresh token.", noRefresh],
  "10.3.1-4": ["SHOULD", "200 with any body is as good an answer to a push as 204.", callbacks],
  "10.3.1-5": ["MUST NOT", "A push follows redirects.", callbacks],
  "10.3.1-6": ["MUST", "An error is pushed as well.", callbacks],
  "11-1": ["MUST", "While nobody has decided, the answer is authorization_pending."],
  "11-2": [
    "MUST",
    "slow_down raises the interval by at least five seconds, for this poll and all later ones.",
  ],
  "11-3": ["MUST", "After its time is over, the answer is expired_token."],
  "11-4": ["MUST", "After a denial the answer is access_denied."],
  "11-5": ["MUST", "An unknown auth_req_id, and another client's, is invalid_grant."],
  "11-6": ["MAY", "Who goes on polling too fast is answered with invalid_request."],
  "11-7": ["MUST", "A push client that polls is answered with unauthorized_client.", callbacks],
  "11-8": ["MUST", "Errors of the token endpoint have the form of RFC 6749 §5.2."],
  "12-1": ["REQUIRED", "A pushed error has its code and the auth_req_id.", callbacks],
  "12-2": ["MUST NOT", "A pushed error's description leaves its alphabet.", callbacks],
  "12-3": ["MUST", "A denial is pushed as access_denied.", callbacks],
  "12-4": ["MAY", "The end of a request's time is pushed as expired_token.", callbacks],
  "12-5": [
    "MAY",
    "A transaction that cannot be completed for another reason is pushed as transaction_failed.",
    callbacks,
  ],
  "13-1": ["REQUIRED", "An error of the backchannel endpoint is JSON with a code from the list."],
  "13-2": ["MUST NOT", "An error description leaves its alphabet."],
  "13-3": ["MUST", "Malformed, repeated, missing and unusable parameters are invalid_request, with 400."],
  "13-4": ["MUST", "An unknown or malformed scope is invalid_scope, with 400."],
  "13-5": [
    "MUST",
    "An expired login_hint_token is expired_login_hint_token, with 400.",
    { unmet: "login_hint_token is refused" },
  ],
  "13-6": ["MUST", "A person who cannot be found is unknown_user_id, with 400."],
  "13-7": [
    "MUST",
    "A client that may not use this flow is unauthorized_client, with 400.",
    { notOurs: "every agent is registered for CIBA, the only flow there is" },
  ],
  "13-8": [
    "MUST",
    "A user code that is needed and missing is missing_user_code, with 400.",
    { unmet: "user codes are refused" },
  ],
  "13-9": ["MUST", "A wrong user code is invalid_user_code, with 400.", { unmet: "user codes are refused" }],
  "13-10": ["MUST", "An unusable binding message is invalid_binding_message, with 400."],
  "13-11": ["MUST", "Failed client authentication is invalid_client, with 401."],
  "13-12": ["MUST", "What a person or this server has denied beforehand is access_denied, with 403."],
  "14-1": [
    "SHOULD",
    "A login_hint_token is signed by its issuer, and the signature is checked.",
    { unmet: "login_hint_token is refused" },
  ],
  "14-2": ["SHOULD", "A notification endpoint is under its client's control.", callbacks],
  "14-3": [
    "SHOULD",
    "An expired ID token is still good as a hint, for a reasonable time.",
    { unmet: "id_token_hint is refused" },
  ],
  "14-4": [
    "SHOULD",
    "An id_token_hint is ours: its issuer and its signature are checked.",
    { unmet: "id_token_hint is refused" },
  ],
  "14-5": [
    "SHOULD",
    "An id_token_hint was made for the client that sends it.",
    { unmet: "id_token_hint is refused" },
  ],
});
