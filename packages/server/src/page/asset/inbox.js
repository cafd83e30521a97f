/**
 * Updates the inbox: on each server-sent event it fetches the page again and replaces the list. Keyboard focus is kept,
 * and a change is announced once to screen readers.
 */

function listen() {
  const events = new EventSource("/inbox/events");
  let wasDown = false;
  events.addEventListener("inbox", refresh);
  events.addEventListener("open", () => {
    // Events may have been missed while the connection was down.
    if (wasDown) refresh();
    wasDown = false;
  });
  events.addEventListener("error", () => {
    wasDown = true;
    if (events.readyState !== EventSource.CLOSED) return;
    // The browser does not reconnect: the session has ended, or the server returned an error.
    setTimeout(() => {
      refresh();
      listen();
    }, 5_000);
  });
}

let latest = 0;

function refresh() {
  const turn = ++latest;
  // `responseType = "document"` lets the browser parse the response; no text is turned into markup here.
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
