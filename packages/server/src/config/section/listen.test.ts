import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseConfig } from "../config.ts";

function read(issuer: string, lines: string) {
  const text = `issuer: ${issuer}\npasskeys: { rp_id: example.com }\n${lines}`;
  return parseConfig(text, "/etc/countersign/countersign.yaml");
}

const https = "https://id.example.com";
const tls = "tls: { certificate: id.pem, key: /run/id.key }";
const files = { certificate: "/etc/countersign/id.pem", key: "/run/id.key" };

function listening(lines: string, issuer = https) {
  const parsed = read(issuer, lines);
  assert.ok("config" in parsed, JSON.stringify(parsed));
  const { listen, mtls } = parsed.config;
  return { listen, mtls };
}

describe("listen and mtls", () => {
  test("listens in clear without client certificates by default", () => {
    assert.deepEqual(listening(""), { listen: { host: "127.0.0.1", port: 4400 }, mtls: undefined });
  });

  test("uses the first listener's certificate for a second one without its own", () => {
    const common = `listen: { ${tls} }\nmtls: { url: "https://mtls.example.com", authorities: ca.pem, listen: `;
    const main = { host: "127.0.0.1", port: 4400, tls: files };
    assert.deepEqual(listening(`${common}{ port: 4401 } }`), {
      listen: main,
      mtls: {
        url: "https://mtls.example.com",
        listen: { host: "127.0.0.1", port: 4401, tls: files },
        authoritiesFile: "/etc/countersign/ca.pem",
      },
    });
    const own = listening(`${common}{ host: 0.0.0.0, port: 1, tls: { certificate: a, key: b } } }`);
    assert.deepEqual(own.mtls?.listen, {
      host: "0.0.0.0",
      port: 1,
      tls: { certificate: "/etc/countersign/a", key: "/etc/countersign/b" },
    });
  });

  test("listens in clear on the second listener behind a proxy, also if the first uses TLS", () => {
    const { mtls } = listening(`listen: { ${tls} }
mtls:
  url: https://mtls.example.com
  listen: { port: 4401 }
  proxy: { header: SSL-Cert, addresses: [10.0.0.1, "fd00::1", 10.2.0.0/16], verified: false }`);
    assert.deepEqual(mtls?.listen, { host: "127.0.0.1", port: 4401 });
    assert.deepEqual(mtls?.proxy, {
      header: "ssl-cert",
      addresses: ["10.0.0.1/32", "fd00::1/128", "10.2.0.0/16"],
      verified: false,
    });
  });

  test("requires no second listener for the issuer's own URL or behind a proxy", () => {
    assert.equal(listening(`listen: { ${tls} }\nmtls: { url: "${https}" }`).mtls?.url, https);
    const proxied = 'mtls: { url: "https://x.example", proxy: { addresses: [127.0.0.1], verified: true } }';
    assert.equal(listening(proxied).mtls?.proxy?.header, "client-cert");
  });

  const wrong: readonly (readonly [lines: string, path: string, message: RegExp, issuer?: string])[] = [
    [
      `listen: { ${tls} }`,
      "listen.tls",
      /listen\.tls is set, but the issuer is an http URL/,
      "http://localhost:4400",
    ],
    ["listen: { tls: { certificate: a } }", "listen.tls.key", /key is missing/],
    ['mtls: { url: "https://x.example" }', "mtls.url", /no listener serves this URL/],
    [`mtls: { url: "${https}" }`, "mtls.url", /client certificates need TLS on this listener/],
    [
      'mtls: { url: "https://x.example", listen: { port: 1 } }',
      "mtls.listen",
      /client certificates need TLS on this listener/,
    ],
    [
      `listen: { ${tls} }\nmtls: { url: "${https}", listen: { port: 1 } }`,
      "mtls.listen",
      /a separate listener needs a separate URL, but mtls\.url is the issuer/,
    ],
    [
      `listen: { ${tls} }\nmtls: { url: "https://x.example/", listen: { port: 1 } }`,
      "mtls.url",
      /the URL for certificates is not in canonical form/,
    ],
    [
      `listen: { ${tls} }\nmtls: { url: "https://x.example/a", listen: { port: 1 } }`,
      "mtls.url",
      /has a path/,
    ],
    [
      `listen: { ${tls} }\nmtls: { url: "http://x.example", listen: { port: 1 } }`,
      "mtls.url",
      /client certificates need https/,
    ],
    ['mtls: { url: "x", proxy: { addresses: [127.0.0.1], verified: true } }', "mtls.url", /is not a URL/],
    [
      `mtls: { url: "${https}", proxy: { addresses: [], verified: true } }`,
      "mtls.proxy.addresses",
      /the list is empty, so no proxy would be trusted/,
    ],
    [
      `mtls: { url: "${https}", proxy: { addresses: [proxy], verified: true } }`,
      "mtls.proxy.addresses[0]",
      /no address/,
    ],
    [
      `mtls: { url: "${https}", proxy: { addresses: [127.0.0.1] } }`,
      "mtls.proxy.verified",
      /neither true nor false|missing/,
    ],
    [
      `mtls: { url: "${https}", proxy: { header: "a b", addresses: [127.0.0.1], verified: true } }`,
      "mtls.proxy.header",
      /name of a header/,
    ],
    [
      `mtls: { url: "${https}", authorities: ca.pem, proxy: { addresses: [127.0.0.1], verified: true } }`,
      "mtls.authorities",
      /the proxy terminates TLS and uses its own authorities/,
    ],
  ];
  for (const [lines, path, message, issuer = https] of wrong)
    test(`rejects an impossible combination: ${path}, ${message.source}`, () => {
      const text = read(issuer, lines);
      assert.ok("problems" in text, "accepted");
      const found = text.problems.find((problem) => problem.path === path);
      assert.match(found?.message ?? JSON.stringify(text.problems), message);
      assert.ok((found?.remedy ?? "").length > 10);
    });
});
