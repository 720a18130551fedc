// The stream of changes. It is closed while the page is not shown: a browser keeps pages with open streams, and has only six a host.
let source = null;

export function followChanges(onChange) {
  const open = () => {
    if (source !== null || document.hidden) return;
    source = new EventSource("/events");
    source.addEventListener("changed", onChange);
  };
  const close = () => { source?.close(); source = null; };
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => { open(); if (event.persisted) onChange(); });
  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else { open(); onChange(); } });
  open();
}
