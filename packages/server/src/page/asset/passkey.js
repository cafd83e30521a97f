/**
 * Runs a WebAuthn ceremony when a form with `data-passkey` is submitted, puts the credential into the form and submits it.
 * The options come from the form's `data-options`; nothing is fetched or stored. The form's button is disabled until this
 * module runs.
 */

/** @param {HTMLFormElement} form */
function prepareForm(form) {
  const button = form.querySelector("button");
  const hint = document.querySelector("[data-ready]");
  if (!button) return;
  if (!window.PublicKeyCredential)
    return showProblem(form, "This browser does not support passkeys. Please use another browser.");
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
    showProblem(form, "");
    button.setAttribute("aria-busy", "true");
    try {
      const { field, credential } = await runCeremony(form);
      const input = form.elements.namedItem(field);
      if (!(input instanceof HTMLInputElement)) throw new TypeError(`no field ${field}`);
      input.value = JSON.stringify(credential);
      form.submit();
    } catch (error) {
      showProblem(form, explain(error, form.dataset.passkey === "create"));
      busy = false;
      button.removeAttribute("aria-busy");
    }
  });
}

/**
 * Runs one ceremony. Returns the form field and the credential to put into it.
 * @param {HTMLFormElement} form
 */
async function runCeremony(form) {
  const options = JSON.parse(form.dataset.options ?? "");
  if (form.dataset.passkey === "create") {
    const attestation = await navigator.credentials.create({ publicKey: readCreation(options) });
    return { field: "attestation", credential: toJson(attestation) };
  }
  const assertion = await navigator.credentials.get({ publicKey: readRequest(options) });
  return { field: "assertion", credential: toJson(assertion) };
}

/** @param {PublicKeyCredentialCreationOptionsJSON} json @returns {PublicKeyCredentialCreationOptions} */
function readCreation(json) {
  if (PublicKeyCredential.parseCreationOptionsFromJSON)
    return PublicKeyCredential.parseCreationOptionsFromJSON(json);
  const user = { ...json.user, id: fromBase64url(json.user.id) };
  const excludeCredentials = json.excludeCredentials?.map(descriptor);
  return /** @type {any} */ ({ ...json, challenge: fromBase64url(json.challenge), user, excludeCredentials });
}

/** @param {PublicKeyCredentialRequestOptionsJSON} json @returns {PublicKeyCredentialRequestOptions} */
function readRequest(json) {
  if (PublicKeyCredential.parseRequestOptionsFromJSON)
    return PublicKeyCredential.parseRequestOptionsFromJSON(json);
  const allowCredentials = json.allowCredentials?.map(descriptor);
  return /** @type {any} */ ({ ...json, challenge: fromBase64url(json.challenge), allowCredentials });
}

/** @param {PublicKeyCredentialDescriptorJSON} json */
function descriptor(json) {
  return { ...json, id: fromBase64url(json.id) };
}

/**
 * Returns the credential as JSON. Builds the JSON itself if the browser, or a password manager in it, does not support `toJSON`.
 * @param {Credential | null} credential
 */
function toJson(credential) {
  if (!credential) throw new DOMException("no credential", "NotAllowedError");
  const publicKeyCredential = /** @type {any} */ (credential);
  try {
    return publicKeyCredential.toJSON();
  } catch {
    const { response } = publicKeyCredential;
    return {
      id: publicKeyCredential.id,
      rawId: publicKeyCredential.id,
      type: publicKeyCredential.type,
      authenticatorAttachment: publicKeyCredential.authenticatorAttachment ?? undefined,
      clientExtensionResults: publicKeyCredential.getClientExtensionResults(),
      response: {
        clientDataJSON: toBase64url(response.clientDataJSON),
        attestationObject: toBase64url(response.attestationObject),
        transports: response.getTransports?.(),
        authenticatorData: toBase64url(response.authenticatorData ?? response.getAuthenticatorData?.()),
        signature: toBase64url(response.signature),
        userHandle: toBase64url(response.userHandle),
      },
    };
  }
}

/** @param {string} base64url */
function fromBase64url(base64url) {
  const binary = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

/** @param {ArrayBuffer | null | undefined} buffer */
function toBase64url(buffer) {
  if (!buffer) return undefined;
  const binary = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** @param {unknown} error @param {boolean} creating */
function explain(error, creating) {
  const consequence = creating ? "No passkey was created." : "Nothing was sent.";
  switch (error instanceof DOMException ? error.name : "") {
    case "NotAllowedError":
    case "AbortError":
      return `The passkey prompt was cancelled or timed out. ${consequence} You can try again.`;
    case "InvalidStateError":
      return "This device already has a passkey for you. You can sign in with it.";
    case "SecurityError":
      return `The passkey belongs to a different address. ${consequence}`;
    default:
      return `The passkey did not work. ${consequence} You can try again.`;
  }
}

function guessDevice() {
  const found = /iPhone|iPad|Android|Windows|Mac|Linux/.exec(navigator.userAgent)?.[0];
  if (!found) return "My device";
  return found.startsWith("i") ? `My ${found}` : `My ${found} ${found === "Android" ? "phone" : "computer"}`;
}

/** @param {HTMLFormElement} form @param {string} text */
function showProblem(form, text) {
  const line = (form.closest("[data-decision]") ?? form).querySelector("[data-problem]");
  if (line) line.textContent = text;
}

// A page from the back/forward cache has a ceremony that was already used.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
for (const form of document.querySelectorAll("form")) if (form.dataset.passkey) prepareForm(form);
