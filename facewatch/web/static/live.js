// What the server tells pages while they are open. All tabs of a browser that are shown share one stream, because a browser has only six
// connections to a host: the one that has the lock has the stream, and hands on what comes. It is closed while a page is not shown:
// a browser keeps pages that are left, and none that has a stream or a lock.
const KINDS = ["changed", "fault", "heartbeat", "jobs", "renewed"];
const SHARED = "facewatch-events";
const RETRY = 5000;

// `onNews` is handed each kind of news with what it says; "shown": this page was not shown for a while, and may be out of date.
export function followNews(onNews) {
  let stop = null;
  const open = () => { if (stop === null && !document.hidden) stop = (navigator.locks && window.BroadcastChannel ? share : listen)(onNews); };
  const close = () => { stop?.(); stop = null; };
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => { open(); if (event.persisted) onNews("shown"); });
  document.addEventListener("visibilitychange", () => { if (document.hidden) close(); else { open(); onNews("shown"); } });
  open();
}

// A stream of its own; returns what closes it.
function listen(onNews) {
  let source, timer;
  const open = () => {
    source = new EventSource("/events");
    for (const kind of KINDS) source.addEventListener(kind, (event) => onNews(kind, JSON.parse(event.data)));
    // It asks again by itself, but not where it was refused.
    source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, RETRY); });
  };
  open();
  return () => { clearTimeout(timer); source.close(); };
}

// The stream of whichever tab has the lock; returns what leaves it.
function share(onNews) {
  const channel = new BroadcastChannel(SHARED), waiting = new AbortController();
  let newest = null, release = () => {};
  channel.addEventListener("message", ({ data }) => {
    if (data.kind !== undefined) onNews(data.kind, data.news);
    else if (newest !== null) for (const [kind, news] of newest) channel.postMessage({ kind, news });
  });
  navigator.locks.request(SHARED, { signal: waiting.signal }, () => new Promise((resolve) => {
    newest = new Map();
    const close = listen((kind, news) => { newest.set(kind, news); channel.postMessage({ kind, news }); onNews(kind, news); });
    release = () => { close(); resolve(); };
  })).catch((error) => { if (error.name !== "AbortError") throw error; });
  // Whoever has the stream says how everything is.
  channel.postMessage({});
  return () => { waiting.abort(); release(); channel.close(); };
}
