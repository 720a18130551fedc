// The stream of changes. It is closed while the page is not shown: a browser keeps pages with open streams, and has only six a host.
let source = null;

// `onFault` is handed a sentence: what was decided is not in the folders.
export function followChanges(onChange, onFault = () => {}) {
  const open = () => {
    if (source !== null || document.hidden) return;
    source = new EventSource("/events");
    source.addEventListener("changed", onChange);
    source.addEventListener("fault", (event) => { const sentence = JSON.parse(event.data); if (sentence) onFault(sentence); });
  };
  const close = () => { source?.close(); source = null; };
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => { open(); if (event.persisted) onChange(); });
  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else { open(); onChange(); } });
  open();
}
