/** Another directory decides who may approve, with no change of a use case: groups by id, owners, deactivation. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { refund, toRequestId } from "@countersign/testing/server/deployment";
import { createStoredDirectory, type StoredDirectory } from "@countersign/testing/server/stored-directory";
import { useDeployment } from "@countersign/testing/server/use-deployment";

let directory: StoredDirectory;
let orders = 0;

const deployment = useDeployment({
  approvers: ["ada", "carol"],
  openDirectory: ({ store }) => {
    directory = createStoredDirectory(store, { billing: "oncall" });
    return directory;
  },
});

/** Requests a new refund of the group `finance`; the configuration lists other members than the directory. */
async function ask(
  hint = "owner",
): Promise<{ readonly status: number; readonly error: string; readonly authReqId: string }> {
  orders += 1;
  const details = JSON.stringify([{ ...refund, order: `D-${orders}` }]);
  const { status, body } = await deployment.ask({ login_hint: hint, authorization_details: details });
  return { status, error: body.error, authReqId: body.auth_req_id };
}

async function readRequest(authReqId: string) {
  return (await deployment.server.store.read("request", toRequestId(authReqId)))?.record;
}

describe("another directory", () => {
  test("selects candidates by its members, and hints by id, e-mail and group", async () => {
    await directory.setMembers("finance", [deployment.carol.approver]);
    for (const hint of ["owner", "group:finance", "carol@example.com", deployment.carol.approver]) {
      const { authReqId } = await ask(hint);
      assert.deepEqual((await readRequest(authReqId))?.candidates, [deployment.carol.approver], hint);
    }
    assert.equal((await ask("ada@example.com")).error, "unknown_user_id");
    await directory.setMembers("finance", []);
    assert.equal((await ask()).error, "access_denied");
  });

  test("selects the members of the owner's group", async () => {
    await directory.setMembers("oncall", [deployment.carol.approver, deployment.ada.approver]);
    const promote = (service: string) =>
      deployment.ask({
        login_hint: "owner",
        authorization_details: JSON.stringify([{ type: "promote", service }]),
      });
    const { body } = await promote("billing");
    assert.deepEqual((await readRequest(body.auth_req_id))?.candidates, [
      deployment.ada.approver,
      deployment.carol.approver,
    ]);
    assert.equal((await promote("foo")).body.error, "access_denied");
  });

  test("is read again at the decision and at the issue of the token (T27)", async () => {
    await directory.setMembers("finance", [deployment.carol.approver]);
    const first = await ask();
    await directory.setMembers("finance", [deployment.ada.approver]);
    assert.equal((await deployment.carol.decide(toRequestId(first.authReqId), "approve")).status, 409);
    assert.equal((await readRequest(first.authReqId))?.status.state, "pending");

    await directory.setMembers("finance", [deployment.carol.approver]);
    assert.equal((await deployment.carol.decide(toRequestId(first.authReqId), "approve")).status, 303);
    await directory.setMembers("finance", []);
    assert.equal((await deployment.poll(first.authReqId)).body.error, "access_denied");
  });

  test("conflicts with a decision if a membership ends during it", async () => {
    await directory.setMembers("finance", [deployment.carol.approver]);
    const { authReqId } = await ask();
    const { listGroupsOf } = directory;
    let reads = 0;
    Object.assign(directory, {
      listGroupsOf: async (...query: Parameters<typeof listGroupsOf>) => {
        reads += 1;
        const memberships = await listGroupsOf(...query);
        if (reads === 1) await directory.setMembers("finance", [deployment.ada.approver]);
        return memberships;
      },
    });
    const response = await deployment.carol.decide(toRequestId(authReqId), "approve");
    Object.assign(directory, { listGroupsOf });
    assert.equal(response.status, 409);
    assert.equal(reads, 2);
    assert.equal((await readRequest(authReqId))?.status.state, "pending");
  });

  test("does not notify, sign in or issue a token for a deactivated approver, nor let them decide", async () => {
    await directory.setMembers("finance", [deployment.carol.approver]);
    const pending = await ask();
    const approved = await ask();
    await deployment.carol.decide(toRequestId(approved.authReqId), "approve");
    directory.setActive(deployment.carol.approver, false);

    assert.equal((await ask()).error, "unknown_user_id");
    assert.equal((await ask(deployment.carol.approver)).error, "unknown_user_id");
    assert.match((await deployment.carol.get("/inbox")).headers.get("location") ?? "", /^\/sign-in/);
    assert.equal(
      (await deployment.carol.decide(toRequestId(pending.authReqId), "approve")).headers.get("location"),
      "/sign-in",
    );
    assert.equal((await deployment.poll(approved.authReqId)).body.error, "access_denied");

    directory.setActive(deployment.carol.approver, true);
    assert.equal((await deployment.carol.get("/inbox")).status, 200);
  });
});
