/**
 * Chromium from the npm registry for tests and examples, with a virtual authenticator. The package contains its libraries
 * and fonts, so nothing has to be installed. Web security and site isolation are on as in an approver's browser; the
 * sandbox is off because it does not start for root, and only pages of this repository are opened.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Browser, type CDPSession, chromium as engine, type Page } from "playwright-core";

const bundle = "@sparticuz/chromium";

/** Starts the browser; the caller closes it. Rejects if this machine cannot run it. */
export async function launchBrowser(): Promise<Browser> {
  const home = await unpackBrowser();
  return engine.launch({
    executablePath: join(home, "chromium"),
    headless: true,
    args: ["--no-sandbox", "--font-render-hinting=none"],
    env: {
      ...process.env,
      LD_LIBRARY_PATH: [join(home, "al2023", "lib"), process.env.LD_LIBRARY_PATH].filter(Boolean).join(":"),
      FONTCONFIG_FILE: join(home, "fonts.conf"),
    },
  });
}

/** The virtual authenticator of one page. */
export type Passkeys = {
  /** Returns the number of passkeys stored. */
  readonly count: () => Promise<number>;
  /** Sets the result of user verification: `false` fails every ceremony that requires it. */
  readonly setUserVerified: (recognised: boolean) => Promise<void>;
};

/**
 * Adds a platform authenticator to a page (CTAP2, resident keys, user verification) that completes every ceremony without
 * interaction. It lasts until the page is closed; other pages of the context have none.
 */
export async function addPasskeys(page: Page): Promise<Passkeys> {
  const session: CDPSession = await page.context().newCDPSession(page);
  await session.send("WebAuthn.enable");
  const { authenticatorId } = await session.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return {
    count: async () =>
      (await session.send("WebAuthn.getCredentials", { authenticatorId })).credentials.length,
    setUserVerified: async (recognised) => {
      await session.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: recognised });
    },
  };
}

/**
 * Unpacks the browser once per installation and returns its directory. Safe for concurrent processes: each unpacks into
 * a temporary directory, and the first rename wins.
 */
async function unpackBrowser(): Promise<string> {
  const require = createRequire(import.meta.url);
  const entry = require.resolve(bundle);
  const { version } = require(join(entry.slice(0, entry.lastIndexOf(`${sep}build${sep}`)), "package.json"));
  const modules = entry.slice(0, entry.lastIndexOf(join(sep, ...bundle.split("/"), sep)));
  const cache = join(modules, ".cache", "countersign");
  const home = join(cache, `chromium-${version}`);
  if (existsSync(home)) return home;

  await mkdir(cache, { recursive: true });
  const draft = await mkdtemp(join(cache, "unpack-"));
  try {
    // The bundle unpacks into TMPDIR and skips existing files, so TMPDIR is a new directory. It adds its libraries only
    // if the environment says AWS Lambda.
    const script = `import chromium from ${JSON.stringify(bundle)}; await chromium.executablePath();`;
    await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], {
      cwd: dirname(fileURLToPath(import.meta.url)),
      env: { ...process.env, TMPDIR: draft, AWS_EXECUTION_ENV: "AWS_Lambda_nodejs24.x" },
    });
    await writeFile(join(draft, "fonts.conf"), fontConfiguration(home));
    await rename(draft, home);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    if (!existsSync(home)) throw new Error(`cannot unpack ${bundle}`, { cause: error });
  }
  return home;
}

/** The bundled font first, so that pages measure the same everywhere; the machine's own for other scripts. */
function fontConfiguration(home: string): string {
  const prefer = ["system-ui", "sans-serif", "serif"]
    .map(
      (family) =>
        `<alias binding="same"><family>${family}</family><prefer><family>Open Sans</family></prefer></alias>`,
    )
    .join("");
  return `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>
<dir>${join(home, "fonts")}</dir><dir>/usr/share/fonts</dir><cachedir>${join(home, "fonts-cache")}</cachedir>
${prefer}</fontconfig>
`;
}
