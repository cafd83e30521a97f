/** Publishes action types (schema, template and display) by hash, so that third parties can render the same card. */
import type { PolicySource } from "../../../config/policy.ts";
import type { Store } from "../../../store/store.ts";
import type { DocumentHandler } from "../../route.ts";
import { createPublicJson } from "../../transport/response.ts";

/** `GET /action-types`: the action types of the current configuration. */
export function createActionTypeListHandler({ policy }: { readonly policy: PolicySource }): DocumentHandler {
  return () => {
    const types = [...policy.current().actions.values()].map(({ definition, hash, combinableWith }) => ({
      hash,
      definition,
      ...(combinableWith.length > 0 && { combinable_with: combinableWith }),
    }));
    return createPublicJson({ action_types: types }, "max-age=60");
  };
}

/** `GET /action-types/:hash`: an action type of the current or an earlier configuration. The response is immutable. */
export function createActionTypeHandler({ store }: { readonly store: Store }): DocumentHandler {
  return async (hash) => {
    const found = await store.read("action_type", hash);
    if (!found) return createPublicJson({ error: "not_found" }, "no-store", 404);
    return createPublicJson({ hash, definition: found.record.definition }, "max-age=31536000, immutable");
  };
}
