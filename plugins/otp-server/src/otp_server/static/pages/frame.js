// The page in a frame: tells the page around it what happens, over the one port that it hands over, and takes no press that
// the person could not see.
(() => {
  "use strict";
  const { origins, verification } = document.body.dataset, known = origins.split(" ");
  const field = document.getElementById("code"), covered = document.getElementById("covered");
  const own = window.name, LONG_ENOUGH = 500;
  let port = null;
  const tell = (type, more) => port?.postMessage({ v: 1, type, nonce: own, ...more });

  const connect = ({ data, source, origin, ports }) => {
    if (source !== parent || source === window || !known.includes(origin) || ports.length !== 1) return;
    if (data?.v !== 1 || data.type !== "connect" || data.nonce !== own || !/^\w{24}$/.test(own)) return;
    removeEventListener("message", connect);
    port = ports[0];
    if (data.focus) document.querySelector("[data-focus]")?.focus();
    new ResizeObserver(() => tell("resize", { height: Math.ceil(document.body.getBoundingClientRect().height) }))
      .observe(document.body);
    tell("ready");
    if (verification) tell("done", { verification });
  };
  addEventListener("message", connect);
  addEventListener("keydown", (event) => { if (event.key === "Escape") tell("cancel"); });
  for (const one of document.querySelectorAll("[data-cancel]")) one.addEventListener("click", () => tell("cancel"));

  // What lies under something else, or has only just come into sight, was not meant to be pressed.
  const since = new Map();
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting, intersectionRatio, isVisible } of entries) {
      const isSeen = isIntersecting && intersectionRatio > 0.9 && isVisible !== false;
      if (!isSeen) since.delete(target);
      else if (!since.has(target)) since.set(target, performance.now());
    }
  }, { threshold: [0, 0.91, 1], trackVisibility: true, delay: 100 });
  const watched = document.querySelectorAll("#code, form button");
  for (const one of watched) watcher.observe(one);
  let isKeyed = true;
  addEventListener("click", (event) => { isKeyed = !event.detail; }, true);
  addEventListener("submit", (event) => {
    const at = isKeyed && since.has(document.activeElement) ? document.activeElement : event.submitter ?? field;
    if (performance.now() - (since.get(at) ?? Infinity) >= LONG_ENOUGH) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    covered.hidden = false;
  }, true);
})();
