/** `GET /assets/:id`: stylesheet, icon and scripts of the pages. With the current `v` parameter, cacheable for a year. */
import { findAsset } from "../../../page/asset.ts";
import type { PageResult } from "../page-result.ts";

export async function serveAsset(_: unknown, name: string, request: Request): Promise<PageResult> {
  const found = findAsset(name);
  if (!found) return new Response("not found", { status: 404 });
  const version = new URL(request.url).searchParams.get("v");
  return new Response(found.body, {
    headers: {
      "content-type": found.contentType,
      etag: found.etag,
      "cache-control": version === found.hash ? "public, max-age=31536000, immutable" : "no-cache",
    },
  });
}
