/**
 * Refuses every form until the page has been visible, focused and still for a second, so that a click that another site
 * timed (a double click, a window that closes under the pointer) does not decide. The press itself must begin after that
 * second. A press before it starts the second again. Not a module: it runs before the page has a button.
 */
{
  const stillMs = 1_000;
  let isReady = false;
  /** Whether the press that is in progress began when the page was ready. Undefined: no press, or one that is not seen. */
  /** @type {boolean | undefined} */
  let isPressValid;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  const isAttended = () => document.visibilityState === "visible" && document.hasFocus();

  const showState = () => {
    for (const button of document.querySelectorAll("button"))
      if (isReady) button.removeAttribute("aria-disabled");
      else button.setAttribute("aria-disabled", "true");
  };

  const restart = () => {
    clearTimeout(timer);
    isReady = false;
    showState();
    if (!isAttended()) return;
    timer = setTimeout(() => {
      isReady = isAttended();
      showState();
    }, stillMs);
  };

  /** @param {Event} event */
  const press = (event) => {
    if (event instanceof KeyboardEvent && event.key !== "Enter" && event.key !== " ") return;
    isPressValid = isReady && !(event instanceof KeyboardEvent && event.repeat);
    if (!isReady) restart();
  };
  // After the click and the submission that belong to this press.
  const release = () => setTimeout(() => (isPressValid = undefined));

  addEventListener("pointerdown", press, true);
  addEventListener("keydown", press, true);
  for (const name of ["pointerup", "pointercancel", "keyup"]) addEventListener(name, release, true);
  addEventListener(
    "submit",
    (event) => {
      if (isReady && isPressValid !== false) return;
      event.preventDefault();
      event.stopImmediatePropagation();
    },
    true,
  );
  for (const name of ["focus", "blur", "pageshow"]) addEventListener(name, restart);
  document.addEventListener("visibilitychange", restart);
  document.addEventListener("DOMContentLoaded", restart);
  restart();
}
