/**
 * A real browser for tests and examples: Chromium from the npm registry, with passkeys that need no hands. It brings its
 * own libraries and fonts, so nothing has to be installed on the machine. It keeps the browser as an approver has it
 * (web security, site isolation, one process per site) except for the sandbox, which does not start for root: it opens
 * pages of this repository and no others.
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

/** Starts the browser. The caller closes it. Throws where this machine cannot run it. */
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

/** The passkeys of one page, as the browser's authenticator holds them. */
export type Passkeys = {
  /** How many passkeys it holds. */
  readonly count: () => Promise<number>;
  /** Whether the person at the device is recognised: `false` fails every ceremony that asks for verification. */
  readonly recognise: (recognised: boolean) => Promise<void>;
};

/**
 * Gives a page a built-in authenticator (CTAP2, resident keys, verification) that answers every ceremony by itself. It
 * lasts as long as the page, through all its navigations; another page of the same context has none.
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
    recognise: async (recognised) => {
      await session.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: recognised });
    },
  };
}

/**
 * Unpacks the browser once per installation and says where it is. Any number of processes may do so at the same time:
 * each unpacks into a directory of its own, and the first to rename it wins.
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
    // The bundle unpacks into the temporary directory and skips what is there already, so it gets one of its own. It
    // adds its libraries only where it believes to run on Amazon's Linux.
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
