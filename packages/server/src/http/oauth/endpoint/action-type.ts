/** The action types as published: schema, template and all, so that others can render the same card, each by its hash. */
import type { HttpDeps } from "../../deps.ts";

/** `GET /action-types`: those in force. */
export function listActionTypes({ config }: HttpDeps): Response {
  const types = [...config.actions.values()].map(({ definition, hash, togetherWith }) => ({
    hash,
    definition,
    ...(togetherWith.length > 0 && { together_with: togetherWith }),
  }));
  return Response.json({ action_types: types }, { headers: { "cache-control": "max-age=60" } });
}

/** `GET /action-types/:hash`: any that was ever in force. It never changes. */
export async function getActionType({ store }: HttpDeps, hash: string): Promise<Response> {
  const found = await store.read("action_type", hash);
  if (!found) return Response.json({ error: "not_found" }, { status: 404 });
  const { definition } = found.record;
  return Response.json({ hash, definition }, { headers: { "cache-control": "max-age=31536000, immutable" } });
}
