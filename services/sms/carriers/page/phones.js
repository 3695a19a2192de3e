// The page works without this script; with it, texts and carriers change by themselves.
"use strict";

const list = document.getElementById("texts");
const mould = document.getElementById("mould");
const empty = document.getElementById("empty");
const status = document.getElementById("status");
const trouble = document.getElementById("trouble");
const live = document.getElementById("live");
const mostTexts = 100;

// dress finishes a text that the server or the mould made: the reader's own time of day,
// and a button that copies the code.
function dress(item) {
  const time = item.querySelector("time");
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.getTime())) {
    time.textContent = at.toLocaleTimeString();
    time.title = at.toLocaleString();
  }
  const code = item.querySelector(".digits").textContent;
  const copy = item.querySelector(".copy");
  if (!code || !navigator.clipboard) return;
  copy.hidden = false;
  copy.setAttribute("aria-label", "Copy code " + code);
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code);
      status.textContent = "Copied.";
      copy.textContent = "Copied";
    } catch {
      fail("The browser did not allow copying.");
    }
  });
}

function make(text) {
  const item = mould.content.firstElementChild.cloneNode(true);
  item.dataset.seq = text.seq;
  item.classList.add("new");
  const number = item.querySelector(".number");
  number.textContent = text.to;
  number.href = "/?to=" + encodeURIComponent(text.to);
  item.querySelector(".carrier").textContent = text.carrier;
  item.querySelector(".carrier").dataset.carrier = text.carrier;
  item.querySelector("time").dateTime = text.at;
  item.querySelector(".body").textContent = text.body;
  item.querySelector(".digits").textContent = text.code;
  item.querySelector(".code").hidden = !text.code;
  dress(item);
  return item;
}

// arrive shows new texts, newest first, and says the newest aloud.
function arrive(texts) {
  const items = document.createDocumentFragment();
  for (const text of texts) items.append(make(text));
  list.prepend(items);
  while (list.children.length > mostTexts) list.lastElementChild.remove();
  empty.hidden = true;
  const newest = texts[0];
  status.textContent = "New text to " + newest.to + " by " + newest.carrier + ": " + newest.body;
}

function show(carriers) {
  for (const carrier of carriers) {
    const panel = document.querySelector('.panel[data-carrier="' + CSS.escape(carrier.carrier) + '"]');
    if (!panel) continue;
    const label = panel.querySelector(".label");
    label.textContent = carrier.label;
    label.classList.toggle("fault", carrier.preset !== "accept");
    panel.querySelector(".counts").textContent = carrier.counts;
    for (const button of panel.querySelectorAll("button[name=preset]")) {
      button.setAttribute("aria-pressed", String(button.value === carrier.preset));
    }
  }
}

function fail(words) {
  trouble.textContent = words;
  trouble.hidden = !words;
}

for (const item of list.children) dress(item);

for (const form of document.forms) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form));
    const button = event.submitter;
    if (button && button.name) body.set(button.name, button.value);
    try {
      const answer = await fetch(form.action, {method: "POST", body, headers: {Accept: "application/json"}});
      if (!answer.ok) throw new Error((await answer.json()).detail);
      const carriers = await answer.json();
      show(carriers);
      fail("");
      status.textContent = carriers.map((c) => c.carrier + ": " + c.label).join(". ");
    } catch (error) {
      fail("That did not work. " + (error.message || ""));
    }
  });
}

const query = new URLSearchParams({after: list.dataset.place});
if (list.dataset.to) query.set("to", list.dataset.to);
const stream = new EventSource("/page/stream?" + query);
stream.addEventListener("open", () => {
  live.hidden = false;
  fail("");
});
stream.addEventListener("error", () => {
  live.hidden = true;
  fail("The carriers do not answer; this page tries again by itself.");
});
stream.addEventListener("texts", (event) => arrive(JSON.parse(event.data)));
stream.addEventListener("carriers", (event) => show(JSON.parse(event.data)));
stream.addEventListener("reset", () => {
  list.replaceChildren();
  empty.hidden = false;
});
