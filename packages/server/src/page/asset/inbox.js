/**
 * Keeps the inbox current: when the server says that something changed, fetches the page again and puts its list in
 * place of the old one. The place of the keyboard is kept, and a change is said once, politely.
 */

function listen() {
  const events = new EventSource("/inbox/events");
  let wasDown = false;
  events.addEventListener("inbox", refresh);
  events.addEventListener("open", () => {
    // Whatever happened while the line was down was not heard.
    if (wasDown) refresh();
    wasDown = false;
  });
  events.addEventListener("error", () => {
    wasDown = true;
    if (events.readyState !== EventSource.CLOSED) return;
    // The browser has given up: the session is over, or the server answered with an error.
    setTimeout(() => {
      refresh();
      listen();
    }, 5_000);
  });
}

let latest = 0;

function refresh() {
  const turn = ++latest;
  // The browser parses the answer into a document by itself, so no text here ever becomes markup.
  const request = new XMLHttpRequest();
  request.open("GET", "/inbox");
  request.responseType = "document";
  request.addEventListener("load", () => {
    if (turn !== latest || request.status !== 200) return;
    const fresh = request.response?.getElementById("inbox");
    if (fresh) show(fresh, request.response.title);
    else location.reload();
  });
  request.send();
}

/**
 * @param {Element} fresh
 * @param {string} title
 */
function show(fresh, title) {
  const old = document.getElementById("inbox");
  if (!old) return;
  const focused = old.contains(document.activeElement) ? document.activeElement?.id : undefined;
  old.replaceWith(document.adoptNode(fresh));
  document.title = title;
  if (focused !== undefined)
    (document.getElementById(focused) ?? document.getElementById("main"))?.focus({ preventScroll: true });
  const status = document.getElementById("inbox-status");
  const words = fresh.getAttribute("data-status");
  if (status && status.textContent !== words) status.textContent = words;
}

listen();
