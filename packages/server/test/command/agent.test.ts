/** Agents by command: registered, shown, changed, given a new secret. */
import assert from "node:assert/strict";
import { generateKeyPairSync, hash } from "node:crypto";
import { appendFileSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { runCli } from "@countersign/testing/server/run-cli";

const folder = realpathSync(mkdtempSync(join(tmpdir(), "countersign-agent-")));
after(() => rmSync(folder, { recursive: true }));

async function countersign(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  return await runCli([...words, "--config", join(folder, "countersign.yaml")]);
}

/** Runs a command that does what it is told. */
async function done(...words: string[]): Promise<string> {
  const { code, out, err } = await countersign(...words);
  assert.deepEqual([code, err], [0, ""], words.join(" "));
  return out;
}

/** Runs a command that is refused, and answers why. */
async function refused(...words: string[]): Promise<string> {
  const { code, out, err } = await countersign(...words);
  assert.deepEqual([code, out], [1, ""], words.join(" "));
  assert.doesNotMatch(err, /at .*\.ts:/, "no stack");
  return err;
}

const shown = async (id: string) => JSON.parse(await done("agent", "show", id, "--json"));
const secretIn = (out: string) => /^client_secret=([\w-]{43})$/m.exec(out)?.[1];

function writeKeys(name: string): string {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const file = join(folder, name);
  writeFileSync(file, JSON.stringify({ keys: [publicKey.export({ format: "jwk" })] }));
  return file;
}

before(async () => {
  await done("init");
  // Certificates reach the server through a proxy that has checked them.
  const mtls =
    'mtls: { url: "https://mtls.localhost", listen: { port: 4401 }, proxy: { addresses: [127.0.0.1], verified: true } }';
  appendFileSync(join(folder, "countersign.yaml"), `${mtls}\n`);
});

describe("countersign agent", () => {
  test("registers an agent with every metadata field as an option", async () => {
    const jwks = writeKeys("jwks.json");
    await done(
      ...["agent", "add", "desk", "--name", "Refund desk", "--type", "refund"],
      ...["--auth", "private_key_jwt", "--auth-alg", "ES256", "--jwks", jwks],
      ...["--delivery", "ping", "--callback", "https://agent.example/ping"],
      ...["--signed-requests", "ES256", "--bound", "dpop", "--user-code", "yes"],
    );
    const { added, jwks: kept, ...rest } = await shown("desk");
    assert.match(added, /^20/);
    assert.equal(kept.keys.length, 1);
    assert.deepEqual(rest, {
      id: "desk",
      name: "Refund desk",
      state: "active",
      source: "command",
      types: ["refund"],
      grant_types: ["urn:openid:params:grant-type:ciba"],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: "private_key_jwt",
      token_endpoint_auth_signing_alg: "ES256",
      backchannel_token_delivery_mode: "ping",
      backchannel_client_notification_endpoint: "https://agent.example/ping",
      backchannel_authentication_request_signing_alg: "ES256",
      backchannel_user_code_parameter: true,
      dpop_bound_access_tokens: true,
      tls_client_certificate_bound_access_tokens: false,
      id_token_signed_response_alg: "ES256",
      subject_type: "public",
    });
    assert.match(
      await done("agent", "list"),
      /desk +Refund desk +refund +private_key_jwt +ping +command +active/,
    );
  });

  test("reports all invalid options at once, by name", async () => {
    const add = ["agent", "add", "other", "--type", "refund"];
    assert.match(
      await refused(...add, "--auth", "private_key_jwt"),
      /--auth: .*\nGive --jwks or --jwks-uri\./,
    );
    assert.match(await refused(...add, "--auth", "tls_client_auth"), /--tls-subject, --tls-san-dns/);
    assert.match(await refused(...add, "--bound", "luck"), /--bound/);
    assert.match(await refused(...add, "--user-code", "perhaps"), /--user-code/);
    assert.match(await refused(...add, "--jwks", join(folder, "nowhere.json")), /cannot be read/);
    assert.match(await refused(...add, "--jwks", join(folder, "countersign.yaml")), /cannot be read as JSON/);
    const two = await refused(...add, "--signed-requests", "HS256", "--delivery", "ping");
    assert.match(two, /--signed-requests: /);
    assert.match(two, /--callback: /);
    assert.match(await refused("agent", "show", "other"), /no agent other/);
  });

  test("validates an update as a whole, including an unacceptable callback (T38, T58)", async () => {
    await done(
      "agent",
      "add",
      "pinged",
      "--type",
      "refund",
      "--delivery",
      "ping",
      "--callback",
      "https://a.example/",
    );
    const before = await shown("pinged");
    for (const callback of [
      "http://a.example/",
      "https://me:secret@a.example/",
      "https://a.example/#x",
      "https://127.0.0.1/",
      "https://169.254.169.254/latest/meta-data",
    ])
      assert.match(await refused("agent", "change", "pinged", "--callback", callback), /--callback/);
    // What can be taken away alone cannot where another part needs it.
    assert.match(await refused("agent", "change", "pinged", "--delivery", "push"), /--delivery/);
    assert.match(await refused("agent", "change", "pinged", "--auth", "private_key_jwt"), /--auth/);
    assert.deepEqual(await shown("pinged"), before);
  });

  test("keeps omitted fields, clears those of the previous method, and logs the changes", async () => {
    await done(
      ...[
        "agent",
        "add",
        "moving",
        "--type",
        "refund",
        "--auth",
        "tls_client_auth",
        "--tls-subject",
        "CN=moving",
      ],
      ...["--delivery", "ping", "--callback", "https://a.example/", "--bound", "mtls"],
    );
    assert.match(
      await done("agent", "change", "moving", "--tls-san-dns", "moving.example"),
      /tls_client_auth_san_dns/,
    );
    assert.equal((await shown("moving")).tls_client_auth_subject_dn, undefined);
    await done(
      "agent",
      "change",
      "moving",
      "--delivery",
      "poll",
      "--bound",
      "none",
      "--name",
      "Moving agent",
    );
    const moved = await shown("moving");
    assert.equal(moved.name, "Moving agent");
    assert.equal(moved.backchannel_client_notification_endpoint, undefined);
    assert.equal(moved.tls_client_certificate_bound_access_tokens, false);
    assert.equal(moved.tls_client_auth_san_dns, "moving.example");
    assert.match(await done("agent", "change", "moving", "--bound", "none"), /already has this registration/);
    assert.match(await refused("agent", "change", "moving"), /no changes given/);

    const entries = await changesOf("moving");
    assert.deepEqual(entries.at(-1), {
      by: "command",
      changed: {
        client_name: "Moving agent",
        backchannel_token_delivery_mode: "poll",
        backchannel_client_notification_endpoint: null,
        tls_client_certificate_bound_access_tokens: false,
      },
    });
    assert.equal(entries.length, 2);
  });

  test("renews a secret and prints it once; keeps it for a method that uses it; never logs it", async () => {
    const first = secretIn(await done("agent", "add", "keeper", "--type", "refund"));
    assert.equal(
      secretIn(await done("agent", "change", "keeper", "--auth", "client_secret_post")),
      undefined,
    );
    const second = secretIn(await done("agent", "secret", "keeper"));
    const third = secretIn(await done("agent", "change", "keeper", "--auth", "client_secret_jwt"));
    assert.equal(secretIn(await done("agent", "change", "keeper", "--auth-alg", "HS256")), undefined);
    const secrets = [first, second, third];
    assert.equal(new Set(secrets).size, 3);
    assert.ok(!secrets.includes(undefined));
    const log = await done("log", "show", "--json", "--limit", "1000");
    for (const secret of secrets) assert.ok(!log.includes(secret ?? ""));
    assert.deepEqual((await changesOf("keeper"))[1], { by: "command", changed: { client_secret: "new" } });
    await done(
      "agent",
      "add",
      "keyed",
      "--type",
      "refund",
      "--auth",
      "private_key_jwt",
      "--jwks",
      writeKeys("k.json"),
    );
    assert.match(await refused("agent", "secret", "keyed"), /has no secret/);
  });

  test("creates initial access tokens with a name and action types", async () => {
    const allow = ["agent", "token", "create", "--type", "refund", "--name", "Refund desk"];
    const out = await done(...allow, "--uses", "2", "--expires", "30m");
    assert.match(out, /note: registration\.enabled is false/);
    assert.match(out, /2 agents may register for refund, as Refund desk/);
    assert.match(out, /^initial_access_token=[\w-]{43}$/m);
    const [allowance] = (await done("agent", "token", "list", "--json"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual([allowance.name, allowance.types, allowance.uses], ["Refund desk", "refund", 2]);
    assert.match(await done("agent", "token", "revoke", allowance.id), /revoked/);
    assert.match(await done("agent", "token", "list"), /no valid initial access tokens/);
    assert.match(await refused("agent", "token", "revoke", allowance.id), /no initial access token/);
    for (const words of [
      ["agent", "token", "create", "--type", "refund"],
      ["agent", "token", "create", "--name", "X"],
      ["agent", "token", "create", "--name", "X", "--type", "refnud"],
      [...allow, "--uses", "0"],
      [...allow, "--expires", "31d"],
      [...allow, "--expires", "soon"],
    ])
      await refused(...words);
  });

  test("prints the hash of a secret for the configuration", async () => {
    const out = await done("agent", "hash-secret", "--new");
    assert.equal(
      /^secret_sha256: "([0-9a-f]{64})"$/m.exec(out)?.[1],
      hash("sha256", secretIn(out) ?? "", "hex"),
    );
  });
});

async function changesOf(agent: string): Promise<unknown[]> {
  const lines = (await done("log", "show", "--json", "--limit", "1000")).trim().split("\n");
  const entries = lines.map((line) => JSON.parse(line));
  return entries
    .filter((entry) => entry.event === "agent.changed" && entry.agent === agent)
    .map(({ facts }) => facts);
}
