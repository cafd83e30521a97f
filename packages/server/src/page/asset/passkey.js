/**
 * Runs a WebAuthn ceremony when a form with `data-passkey` is submitted, puts the credential into the form and submits it.
 * The options come from the form's `data-options`; nothing is fetched or stored. The form's button is disabled until this
 * module runs.
 */

/** @param {HTMLFormElement} form */
function prepare(form) {
  const button = form.querySelector("button");
  const hint = document.querySelector("[data-ready]");
  if (!button) return;
  if (!window.PublicKeyCredential)
    return say(form, "This browser does not support passkeys. Please use another browser.");
  button.disabled = false;
  if (hint) hint.textContent = hint.getAttribute("data-ready");
  const device = form.elements.namedItem("device");
  if (device instanceof HTMLInputElement && device.value === device.defaultValue)
    device.value = guessDevice();

  let busy = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    say(form, "");
    button.setAttribute("aria-busy", "true");
    try {
      const { field, answer } = await ask(form);
      const input = form.elements.namedItem(field);
      if (!(input instanceof HTMLInputElement)) throw new TypeError(`no field ${field}`);
      input.value = JSON.stringify(answer);
      form.submit();
    } catch (error) {
      say(form, explain(error, form.dataset.passkey === "create"));
      busy = false;
      button.removeAttribute("aria-busy");
    }
  });
}

/**
 * Runs one ceremony. Returns the form field and the credential to put into it.
 * @param {HTMLFormElement} form
 */
async function ask(form) {
  const options = JSON.parse(form.dataset.options ?? "");
  if (form.dataset.passkey === "create") {
    const made = await navigator.credentials.create({ publicKey: readCreation(options) });
    return { field: "attestation", answer: write(made) };
  }
  const got = await navigator.credentials.get({ publicKey: readRequest(options) });
  return { field: "assertion", answer: write(got) };
}

/** @param {PublicKeyCredentialCreationOptionsJSON} json @returns {PublicKeyCredentialCreationOptions} */
function readCreation(json) {
  if (PublicKeyCredential.parseCreationOptionsFromJSON)
    return PublicKeyCredential.parseCreationOptionsFromJSON(json);
  const user = { ...json.user, id: bytes(json.user.id) };
  const excludeCredentials = json.excludeCredentials?.map(descriptor);
  return /** @type {any} */ ({ ...json, challenge: bytes(json.challenge), user, excludeCredentials });
}

/** @param {PublicKeyCredentialRequestOptionsJSON} json @returns {PublicKeyCredentialRequestOptions} */
function readRequest(json) {
  if (PublicKeyCredential.parseRequestOptionsFromJSON)
    return PublicKeyCredential.parseRequestOptionsFromJSON(json);
  const allowCredentials = json.allowCredentials?.map(descriptor);
  return /** @type {any} */ ({ ...json, challenge: bytes(json.challenge), allowCredentials });
}

/** @param {PublicKeyCredentialDescriptorJSON} json */
function descriptor(json) {
  return { ...json, id: bytes(json.id) };
}

/**
 * Returns the credential as JSON. Builds it here if the browser, or a password manager in it, does not support `toJSON`.
 * @param {Credential | null} credential
 */
function write(credential) {
  if (!credential) throw new DOMException("no credential", "NotAllowedError");
  const made = /** @type {any} */ (credential);
  try {
    return made.toJSON();
  } catch {
    const { response } = made;
    return {
      id: made.id,
      rawId: made.id,
      type: made.type,
      authenticatorAttachment: made.authenticatorAttachment ?? undefined,
      clientExtensionResults: made.getClientExtensionResults(),
      response: {
        clientDataJSON: text(response.clientDataJSON),
        attestationObject: text(response.attestationObject),
        transports: response.getTransports?.(),
        authenticatorData: text(response.authenticatorData ?? response.getAuthenticatorData?.()),
        signature: text(response.signature),
        userHandle: text(response.userHandle),
      },
    };
  }
}

/** @param {string} base64url */
function bytes(base64url) {
  const binary = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

/** @param {ArrayBuffer | null | undefined} buffer */
function text(buffer) {
  if (!buffer) return undefined;
  const binary = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** @param {unknown} error @param {boolean} creating */
function explain(error, creating) {
  const nothing = creating ? "No passkey was created." : "Nothing was sent.";
  switch (error instanceof DOMException ? error.name : "") {
    case "NotAllowedError":
    case "AbortError":
      return `The passkey prompt was cancelled or timed out. ${nothing} You can try again.`;
    case "InvalidStateError":
      return "This device already has a passkey for you. You can sign in with it.";
    case "SecurityError":
      return `The passkey belongs to a different address. ${nothing}`;
    default:
      return `The passkey did not work. ${nothing} You can try again.`;
  }
}

function guessDevice() {
  const found = /iPhone|iPad|Android|Windows|Mac|Linux/.exec(navigator.userAgent)?.[0];
  if (!found) return "My device";
  return found.startsWith("i") ? `My ${found}` : `My ${found} ${found === "Android" ? "phone" : "computer"}`;
}

/** @param {HTMLFormElement} form @param {string} words */
function say(form, words) {
  const line = (form.closest("[data-decision]") ?? form).querySelector("[data-problem]");
  if (line) line.textContent = words;
}

// A page from the back/forward cache has a ceremony that was already used.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
for (const form of document.querySelectorAll("form")) if (form.dataset.passkey) prepare(form);
