/**
 * OpenFGA backend, through its SDK. The operator configures relations as templates; all of them must hold. Templates that
 * name the approver are checked per approver, the others once. A value that OpenFGA could read as another object, a userset
 * or a wildcard is never sent and counts as not allowed.
 */
import { CredentialsMethod, OpenFgaClient } from "@openfga/sdk";
import { type OpenFgaCheck, openFgaNamePattern } from "../config/section/permission.ts";
import type { PermissionQuery } from "../usecase/request/check-permission.ts";
import type { PermissionBackend } from "./backend.ts";

type OpenFgaSettings = {
  readonly url: string;
  readonly storeId: string;
  readonly modelId?: string;
  readonly checks: readonly OpenFgaCheck[];
};
type Apis = ReadonlyMap<string, { readonly audience: string }>;
type Tuple = { readonly user: string; readonly relation: string; readonly object: string };

const maxResponseBytes = 256 * 1024;

export function createOpenFga(
  { url, storeId, modelId, checks }: OpenFgaSettings,
  token: string | undefined,
  timeoutMs: number,
  apis: Apis,
): PermissionBackend {
  const client = new OpenFgaClient({
    apiUrl: url,
    storeId,
    ...(modelId !== undefined && { authorizationModelId: modelId }),
    ...(token !== undefined && { credentials: { method: CredentialsMethod.ApiToken, config: { token } } }),
    // The timeout covers all attempts, so there is time for one retry.
    retryParams: { maxRetry: 1, minWaitInMs: 50 },
    baseOptions: { timeout: timeoutMs, maxRedirects: 0, maxContentLength: maxResponseBytes },
  });
  const apiByAudience = new Map([...apis].map(([name, { audience }]) => [audience, name]));

  return async (query) => {
    const tuplesByApprover = new Map<string, readonly Tuple[] | undefined>();
    for (const approver of query.approvers)
      tuplesByApprover.set(
        approver.id,
        buildTuples(query, approver, apiByAudience.get(query.audience) ?? ""),
      );
    const tuples = new Map(
      [...tuplesByApprover.values()].flatMap((some) => some ?? []).map((one) => [tupleKey(one), one]),
    );
    const allowed = await check(tuples);
    return [...tuplesByApprover].flatMap(([id, some]) =>
      some?.every((one) => allowed.has(tupleKey(one))) ? [id] : [],
    );
  };

  /** Returns the keys of the tuples that hold. */
  async function check(tuples: ReadonlyMap<string, Tuple>): Promise<ReadonlySet<string>> {
    if (tuples.size === 0) return new Set();
    const keys = [...tuples.keys()];
    const { result } = await client
      .batchCheck({
        checks: [...tuples.values()].map((tuple, at) => ({ ...tuple, correlationId: String(at) })),
      })
      .catch((error: unknown) => {
        throw toError(error);
      });
    const failed = result.find(({ error }) => error !== undefined);
    if (failed) throw new Error(`OpenFGA could not check ${failed.request.relation}`);
    if (result.length !== keys.length) throw new Error("OpenFGA did not return a result for each check");
    return new Set(
      result.filter(({ allowed }) => allowed).map(({ correlationId }) => keys[Number(correlationId)] ?? ""),
    );
  }

  /** Returns undefined if a value cannot be used in an OpenFGA name. */
  function buildTuples(
    { agent, parts }: PermissionQuery,
    approver: PermissionQuery["approvers"][number],
    api: string,
  ): readonly Tuple[] | undefined {
    const tuples: Tuple[] = [];
    for (const { type, bound } of parts)
      for (const template of checks) {
        const values: Readonly<Record<string, unknown>> = {
          agent,
          type,
          api,
          approver: approver.id,
          email: approver.email,
          ...Object.fromEntries(Object.entries(bound).map(([field, value]) => [`bound.${field}`, value])),
        };
        const [user, relation, object] = [template.user, template.relation, template.object].map((text) =>
          fillTemplate(text, values),
        );
        if (user === undefined || relation === undefined || object === undefined) return undefined;
        tuples.push({ user, relation, object });
      }
    return tuples;
  }
}

function fillTemplate(template: string, values: Readonly<Record<string, unknown>>): string | undefined {
  let isFilled = true;
  const text = template.replaceAll(/\{([^}]*)\}/g, (_, name: string) => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    const written = typeof value === "number" || typeof value === "boolean" ? String(value) : value;
    if (typeof written === "string" && openFgaNamePattern.test(written)) return written;
    isFilled = false;
    return "";
  });
  return isFilled ? text : undefined;
}

function tupleKey({ user, relation, object }: Tuple): string {
  return `${user} ${relation} ${object}`;
}

/** Returns an error with only status and code: the SDK's error contains the query, which may hold personal data. */
function toError(error: unknown): unknown {
  const { statusCode, apiErrorCode } = error as { statusCode?: unknown; apiErrorCode?: unknown };
  if (typeof statusCode !== "number") return error;
  const code =
    typeof apiErrorCode === "string" && /^[a-z_]{1,60}$/.test(apiErrorCode) ? ` (${apiErrorCode})` : "";
  return new Error(`OpenFGA returned status ${statusCode}${code}`);
}
