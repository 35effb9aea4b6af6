// The verification page works without this. It fills in the code, keeps the clocks, and says when the code was used elsewhere.
(() => {
  "use strict";
  const root = document.documentElement;
  const find = (id) => document.getElementById(id);
  const form = find("entry"), field = find("code"), expiry = find("expiry");
  const begun = performance.now();
  const since = () => (performance.now() - begun) / 1000;
  const lasts = Number(form.dataset.lasts);
  const quiet = new AbortController();
  root.classList.add("js");

  // No browser remembers a code: the field that is seen has no name, the one that is sent is not seen.
  const sent = document.createElement("input");
  sent.type = "hidden";
  sent.name = field.name;
  form.append(sent);
  field.removeAttribute("name");

  let busy = false, pending = 0;
  for (const one of document.forms) {
    one.addEventListener("submit", (event) => {
      if (busy) return event.preventDefault();
      busy = true;
      setTimeout(() => { busy = false; }, 5000); // no answer came: once more is better than never
      sent.value = field.value;
      clearTimeout(pending);
      quiet.abort();
    });
  }
  addEventListener("pageshow", (event) => {
    busy = false;
    if (event.persisted) { field.value = sent.value = ""; location.replace(location.href); }
  });
  addEventListener("pagehide", () => quiet.abort());

  // The code from the message (WebOTP). It is sent by itself unless the person touches the field.
  const stay = () => clearTimeout(pending);
  field.addEventListener("input", stay);
  if (isSecureContext && "OTPCredential" in window) {
    navigator.credentials.get({ otp: { transport: ["sms"] }, signal: quiet.signal }).then((found) => {
      if (!found || !/^\d{4,10}$/.test(found.code) || field.value || busy) return;
      field.value = found.code;
      find("filled").textContent = find("filled").dataset.text;
      pending = setTimeout(() => form.requestSubmit(), 1500);
    }).catch(() => {});
  }

  // Until when the code works, on the person's own clock.
  const tongue = navigator.languages.find((one) => one.startsWith(root.lang)) || root.lang;
  const until = new Date(Date.now() + lasts * 1000);
  expiry.textContent = expiry.dataset.until.replace(
    "{time}", until.toLocaleTimeString(tongue, { hour: "numeric", minute: "2-digit" }));

  const waits = [...document.querySelectorAll(".wait")];
  const announce = (text) => { find("announce").textContent = text; };
  const told = new Set();
  const tick = () => {
    const now = since();
    waits.forEach((wait, place) => {
      if (wait.hidden) return;
      const left = Math.ceil(wait.dataset.wait - now), clock = wait.querySelector("time");
      if (left <= 0) {
        wait.hidden = true;
        if (!place) announce(wait.dataset.ready);
        return;
      }
      clock.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
      clock.dateTime = `PT${left}S`;
      if (left === 30 && !place && !told.has(30)) { told.add(30); announce(wait.textContent); }
    });
    const left = lasts - now;
    find("soon").hidden = left > 60 || left <= 0 || lasts < 60;
    if (left > 0) return;
    const heading = document.querySelector("h1"), was = document.activeElement;
    heading.textContent = document.title = heading.dataset.over;
    heading.tabIndex = -1;
    find("over").hidden = false;
    form.hidden = true;
    if (form.contains(was)) heading.focus();
    for (const one of document.querySelectorAll("section, .told, .lead, .pays, .notice")) one.hidden = true;
    quiet.abort();
    clearInterval(ticking);
    clearInterval(asking);
  };
  const ticking = setInterval(tick, 1000);

  // Used in another window: this one shows it. Asked seldom, and never while nobody looks.
  const asking = setInterval(async () => {
    if (document.hidden || busy) return;
    try {
      const answer = await fetch(form.dataset.state, { signal: quiet.signal });
      if (answer.ok && (await answer.json()).over && !busy) location.replace(location.href);
    } catch { /* the next time */ }
  }, 10000);
  tick();
})();
