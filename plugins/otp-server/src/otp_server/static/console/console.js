// The console works without this. It keeps a page fresh, adds local times, and shows what only scripts can do.
(() => {
  "use strict";
  const PATIENCE = 8000;
  const root = document.documentElement;
  const main = () => document.getElementById("main");
  root.classList.add("js");

  const dress = () => {
    for (const one of document.querySelectorAll(".scripted")) one.hidden = false;
    for (const one of main().querySelectorAll("time[datetime]")) {
      const moment = new Date(one.dateTime);
      if (!Number.isNaN(moment.getTime())) one.title = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
    }
    const clock = document.querySelector(".top time"), local = document.querySelector(".top .local");
    const moment = new Date(clock.dateTime);
    if (moment.getTimezoneOffset() !== 0) {
      local.textContent = ` · ${moment.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })} here`;
      local.hidden = false;
    }
  };

  const fetched = () => new Promise((done, failed) => {
    const asked = new XMLHttpRequest();
    asked.open("GET", location.href);
    asked.responseType = "document";
    asked.timeout = PATIENCE;
    asked.onload = () => {
      if (asked.responseURL !== location.href) location.reload(); // signed out meanwhile
      else if (asked.status === 200 && asked.responseXML?.getElementById("main")) done(asked.responseXML);
      else failed(new Error("status"));
    };
    asked.onerror = asked.ontimeout = () => failed(new Error("no answer"));
    asked.send();
  });

  // Nothing is taken from under a hand: what is typed, selected, or pointed at in rows that would move.
  const isBusy = () => {
    const active = document.activeElement;
    if (active?.matches("input, textarea, select") && main().contains(active)) return true;
    if ([...main().querySelectorAll("form[method=post] :is(input, textarea)")].some((one) =>
      one.type === "hidden" ? false : one.type === "checkbox" ? one.checked !== one.defaultChecked : one.value !== one.defaultValue)) return true;
    return main().contains(getSelection()?.anchorNode) && !getSelection().isCollapsed;
  };
  const rows = (of) => [...of.querySelectorAll("tbody tr")].map((row) => row.cells[0]?.textContent.trim()).join("\n");
  const wouldMove = (fresh) => main().querySelector("tbody tr:hover, a:hover, summary:hover") && rows(main()) !== rows(fresh);

  const place = (node) => {
    const steps = [];
    for (let one = node; one && one !== main(); one = one.parentElement) {
      steps.unshift([...one.parentElement.children].indexOf(one));
    }
    return steps;
  };
  const at = (steps) => steps.reduce((one, step) => one?.children[step], main());

  const swap = (fresh) => {
    const active = main().contains(document.activeElement) && document.activeElement !== main() ? document.activeElement : null;
    const steps = active && place(active), said = active?.textContent;
    const open = [...main().querySelectorAll("details")].map((one) => one.open);
    const just = main().querySelector(".said"); // what was done stays to be read
    main().replaceChildren(...document.importNode(fresh.getElementById("main"), true).childNodes);
    if (just) main().prepend(just);
    main().querySelectorAll("details").forEach((one, number) => { one.open = open[number] ?? one.open; });
    document.title = fresh.title;
    document.querySelector(".top .clock").replaceWith(document.importNode(fresh.querySelector(".top .clock"), true));
    dress();
    const again = active?.id ? document.getElementById(active.id) : steps && at(steps);
    if (again && again.textContent === said) again.focus({ preventScroll: true });
  };

  const tell = (text) => {
    let told = document.getElementById("late");
    if (!text) { told?.remove(); return; }
    if (!told) {
      told = document.createElement("p");
      told.id = "late";
      told.className = "late";
      told.setAttribute("role", "status");
      main().before(told);
      main().prepend(told);
    }
    told.textContent = text;
    const again = document.createElement("a");
    again.href = location.href;
    again.textContent = "Load again";
    told.append(" ", again);
  };

  const time = (of) => of.toISOString().slice(11, 19);
  let asOf = new Date(document.querySelector(".top time").dateTime);
  const keepFresh = async () => {
    if (document.hidden || isBusy()) return;
    const heading = main().querySelector("h1");
    const slow = setTimeout(() => heading?.after(Object.assign(document.createElement("span"), { className: "note loading", textContent: " Loading" })), 2000);
    try {
      const fresh = await fetched();
      if (isBusy() || wouldMove(fresh)) return;
      swap(fresh);
      asOf = new Date();
      tell("");
    } catch {
      tell(`These figures are of ${time(asOf)} UTC. The server did not answer at ${time(new Date())}; they stay until it does.`);
    } finally {
      clearTimeout(slow);
      for (const one of document.querySelectorAll(".loading")) one.remove();
    }
  };

  // Copies what an element says; where that is not allowed, it is selected.
  document.addEventListener("click", async (pressed) => {
    const button = pressed.target.closest("[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy), told = button.parentElement.querySelector("[role=status]");
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      told.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source);
      told.textContent = "Selected: copy it with your keyboard";
    }
  });

  dress();
  const every = Number(main().dataset.fresh);
  if (every) setInterval(keepFresh, every * 1000);
})();
