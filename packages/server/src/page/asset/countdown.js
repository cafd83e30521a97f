/**
 * Updates the times on a page: counts down, disables the decision at the deadline, and converts times to the browser's
 * time zone. The time left comes from the server, so a wrong device clock does not matter.
 */

/**
 * Returns the time left as `1:42`, `58:03`, `3 h 12 min` or `2 days 5 h`, rounded down.
 * @param {number} ms
 * @returns {string}
 */
export function formatTimeLeft(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (days > 0) return `${days} ${days === 1 ? "day" : "days"} ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return `${minutes}:${String(seconds % 60).padStart(2, "0")}`;
}

/** @type {WeakMap<Element, number>} end of each countdown, by the device's clock */
const ends = new WeakMap();

/** @param {number} age time since the server rendered the page, in milliseconds */
function tick(age) {
  for (const element of document.querySelectorAll("[data-left]")) {
    const end = ends.get(element) ?? Date.now() + Number(element.getAttribute("data-left")) - age;
    ends.set(element, end);
    const left = end - Date.now();
    const text = formatTimeLeft(left);
    if (element.textContent !== text) element.textContent = text;
    const card = element.closest("[data-decision]");
    if (card) updateCard(card, left);
  }
  for (const element of document.querySelectorAll("time[datetime]:not([data-local])")) localize(element);
}

/**
 * Updates the card around a countdown: its progress bar, one announcement 30 seconds before the deadline, and the
 * deadline itself.
 * @param {Element} card
 * @param {number} left
 */
function updateCard(card, left) {
  const bar = card.querySelector("progress");
  if (bar) bar.value = Math.max(0, left);
  const status = card.querySelector("[role=status]");
  if (left <= 0) {
    const fields = card.querySelector("fieldset");
    if (fields?.disabled) return;
    if (fields) fields.disabled = true;
    for (const part of card.querySelectorAll("[data-until-closed]")) part.remove();
    if (!status) return;
    status.classList.remove("unseen");
    status.textContent = status.getAttribute("data-closed");
  } else if (left <= 30_000 && status && !status.hasAttribute("data-said")) {
    status.setAttribute("data-said", "");
    status.textContent = `${Math.ceil(left / 1000)} seconds left to decide`;
    card.classList.add("soon");
  }
}

/** @param {Element} time */
function localize(time) {
  const at = new Date(time.getAttribute("datetime") ?? "");
  /** @type {Intl.DateTimeFormatOptions} */
  const options = time.hasAttribute("data-precise")
    ? { timeStyle: "medium" }
    : { dateStyle: "medium", timeStyle: "short" };
  time.textContent = new Intl.DateTimeFormat(undefined, options).format(at);
  time.setAttribute("data-local", "");
}

if (typeof document !== "undefined") {
  const [navigation] = /** @type {PerformanceNavigationTiming[]} */ (
    performance.getEntriesByType("navigation")
  );
  tick(performance.now() - (navigation?.responseStart ?? performance.now()));
  setInterval(tick, 250, 0);
  document.addEventListener("visibilitychange", () => tick(0));
  // A page from the back/forward cache may show a request that has been decided since.
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}
