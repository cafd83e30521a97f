/**
 * Sessions of signed-in browsers. Any sign-in method starts one (`signin/`); a session says who signed in, when and how, and
 * grants no authority. Only the hash of the cookie's secret is stored.
 */
import type { JsonObject } from "@countersign/protocol";
import { toApproverActor } from "../../audit/actor.ts";
import { newEntry } from "../../audit/new-entry.ts";
import { hashSecret, newSecret } from "../../crypto/secret.ts";
import type { Directory } from "../../directory/directory.ts";
import type { Approver, Session } from "../../domain/people/approver.ts";
import { absent, type Store, type Write } from "../../store/store.ts";

/** The maximum lifetime of a session: 12 hours. */
export const sessionMs = 12 * 3_600_000;

/** What a sign-in method proved. */
export type Authentication = Pick<
  Session,
  "method" | "amr" | "acr" | "authenticatedAt" | "device" | "test"
> & {
  readonly approver: Approver;
};

/** A new session with the secret of its cookie. */
export type SignedIn = { readonly secret: string; readonly session: Session; readonly approver: Approver };

/** Creates a session that is not yet stored. */
export function newSession({ approver, ...authentication }: Authentication, now: number): SignedIn {
  const secret = newSecret();
  const session = {
    ...authentication,
    id: hashSecret(secret),
    approver: approver.id,
    expiresAt: now + sessionMs,
  };
  return { secret, approver, session };
}

/**
 * Starts a session and logs `approver.signed_in`. `writes` use up the proof in the same commit, so that it is accepted once.
 * Returns `conflict` if the proof was used, or its records changed, at the same time.
 */
export async function startSession(
  store: Store,
  authentication: Authentication,
  { writes, facts }: { readonly writes: readonly Write[]; readonly facts: JsonObject },
): Promise<SignedIn | "conflict"> {
  const now = store.now();
  const signedIn = newSession(authentication, now);
  const { id } = authentication.approver;
  const outcome = await store.commit({
    writes: [...writes, { put: "session", record: signedIn.session, ifVersion: absent }],
    entries: [newEntry("approver.signed_in", now, { actor: toApproverActor(id), approver: id, facts })],
  });
  return outcome === "committed" ? signedIn : "conflict";
}

/** Finds a session by the secret of its cookie. Returns undefined if it ended or the approver is removed or deactivated. */
export async function readSession(
  { store, directory }: { readonly store: Store; readonly directory: Directory },
  secret: string,
): Promise<{ readonly session: Session; readonly approver: Approver } | undefined> {
  const found = await store.read("session", hashSecret(secret));
  if (!found || store.now() >= found.record.expiresAt) return undefined;
  const approver = await directory.findById(found.record.approver);
  return approver?.active ? { session: found.record, approver: approver.record } : undefined;
}

export async function signOut(store: Store, session: Session): Promise<void> {
  const found = await store.read("session", session.id);
  if (found)
    await store.commitUnlogged({ writes: [{ delete: "session", id: session.id, ifVersion: found.version }] });
}
