// What the pages do beyond plain forms, each of which works without this script too.
import { Latchkey, NoKey } from "/latchkey.js";

const latchkey = new Latchkey();
const status = document.querySelector("#status[data-challenge]");
const challenge = status?.dataset.kind === "key" ? latchkey.challenge(status.dataset.challenge) : null;

// Keys and proofs are for one origin: who came by another name of this machine goes there.
const home = document.querySelector("[data-origin]")?.dataset.origin;
if (home && new URL(home).origin !== location.origin) location.replace(new URL(location.pathname + location.search, home));

for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", (event) => {
    const button = form.querySelector("button");
    if (button.name) return; // its value is the form's, and a disabled button's is not sent
    button.disabled = true; // one click, one request
    if (!form.dataset.proof) return;
    event.preventDefault();
    send(form).catch(() => {
      button.disabled = false;
      complain(document.querySelector("#alert")?.dataset.unreachable);
    });
  });
}

// A page that the browser kept as it was left can be used again.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  if (status) location.reload();
  for (const button of document.querySelectorAll("button")) button.disabled = false;
});

async function send(form) {
  try {
    if (form.dataset.proof === "sign-in") {
      const { proof, made } = await latchkey.prove(form.user_id.value, form.action);
      form.proof.value = proof;
      form.made.value = made ? "1" : "";
    } else if (challenge) {
      form.proof.value = (await challenge.prove(form.action)).proof;
    }
  } catch (error) {
    // Without a key the device is a cookie. The server says so where that is not enough.
    if (!(error instanceof NoKey)) throw error;
  }
  form.submit();
}

function complain(words) {
  const alert = document.querySelector("#alert");
  if (!alert) return;
  alert.textContent = words;
  alert.hidden = false;
}

// A minute is written in UTC for those without scripts, and here as the person's own clock shows it.
for (const time of document.querySelectorAll("time[data-minute]")) {
  time.textContent = new Date(time.dateTime).toLocaleTimeString(document.documentElement.lang, { hour: "numeric", minute: "2-digit" });
}

if (document.querySelector("[data-registered]")) latchkey.keep();
if (status) wait();

async function wait() {
  countDown();
  const code = document.querySelector("#code");
  const receiving = new AbortController();
  code.form.addEventListener("submit", () => receiving.abort());
  latchkey.receiveCode(receiving.signal).then((received) => {
    code.value = received;
    code.form.requestSubmit();
  }, () => {});
  if (challenge) {
    await challenge.follow((state) => show(state.status)).catch(() => {});
  } else {
    watch();
  }
}

function show(now) {
  if (now === status.dataset.status) return;
  const words = document.querySelector(`#words [data-status="${CSS.escape(now)}"]`);
  if (!words) return;
  status.dataset.status = now;
  status.replaceChildren(...words.cloneNode(true).childNodes);
  document.querySelector("#help").hidden = now !== "not_possible";
  document.querySelector("#anew").hidden = now !== "too_late";
  // Ended: the page says how, and what to do.
  if (["registered", "proved", "expired", "tries", "locked"].includes(now) && !document.querySelector("button:disabled:not(#another)")) location.replace(location.pathname);
}

// Where the device is a cookie, the page itself is asked how things are.
function watch() {
  setTimeout(async () => {
    try {
      const page = new DOMParser().parseFromString(await (await fetch(location.pathname)).text(), "text/html");
      const next = page.querySelector("#status");
      if (next) show(next.dataset.status);
    } catch { /* the next look may succeed */ }
    watch();
  }, 3000);
}

function countDown() {
  const another = document.querySelector("#another");
  const left = document.querySelector("#wait");
  if (!another || !left) return;
  const until = Date.now() + 1000 * Number(another.dataset.wait);
  another.disabled = true;
  const tick = setInterval(() => {
    const seconds = Math.max(0, Math.ceil((until - Date.now()) / 1000));
    left.textContent = String(seconds);
    if (seconds > 0) return;
    clearInterval(tick);
    another.disabled = false;
    left.parentElement.textContent = left.parentElement.dataset.now;
  }, 500);
}
