/** Registers hooks of `node:test` that open a resource before the tests and close it after them. */
import assert from "node:assert/strict";
import { after, before } from "node:test";

/**
 * Opens a resource before the tests of the file or suite in which it is called, and closes it after them. The result has
 * the properties of the open resource; reading one outside tests and hooks throws.
 */
export function useResource<T extends object>(
  open: () => Promise<T>,
  close: (resource: T) => Promise<unknown>,
): T {
  let resource: T | undefined;
  beforeTests(async () => {
    resource = await open();
  });
  after(async () => {
    if (resource) await close(resource);
  });
  return new Proxy({} as T, {
    get: (_, property) => {
      assert.ok(resource, `${String(property)} is read before the tests run, or after open failed`);
      return Reflect.get(resource, property);
    },
  });
}

let lastHook: Promise<void> = Promise.resolve();

/**
 * Registers a `before` hook that runs after those registered earlier with this function or with `useResource`. `node:test` starts
 * the hooks at the top level of a file at once and does not await one before the next.
 */
export function beforeTests(setUp: () => unknown): void {
  before(() => {
    lastHook = lastHook
      .catch(() => {})
      .then(setUp)
      .then(() => {});
    return lastHook;
  });
}
