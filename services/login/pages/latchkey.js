/*
Latchkey in a browser: the key of this device, and what it proves.

Each person who signs in here has a P-256 key of the own. WebCrypto makes it, IndexedDB
keeps it, and nobody can read it out, this script included. Clearing the browser's data
takes it away, and with it the registration.

To put Latchkey behind a sign-in form that a product has already, add a hidden field to it

    <input type="hidden" name="proof">

and send the form with a proof in that field:

    <script type="module">
      import { Latchkey } from "https://login.example/latchkey.js";
      const latchkey = new Latchkey();
      const form = document.querySelector("#sign-in");
      form.addEventListener("submit", async (event) => {
        event.preventDefault();
        form.proof.value = (await latchkey.prove(form.user.value, form.action)).proof;
        form.submit();
      });
    </script>

The product's backend checks user and password as before, and then asks Latchkey with its
API key: POST /v1/device-checks {member, software, proof, headers, address}. The proof is for
POST to the form's address, which must be one that the software registered. It is good for a
minute, once. The answer is "registered", "not_required" or "challenge" with an id. Where it
is a challenge, show a page with a field for the code, and follow the challenge from there:

    const challenge = latchkey.challenge(id);
    challenge.follow((state) => show(state.status));   // requested, sending, accepted, accepted_by_another, delivered, trying_another,
                                                       // delayed (it goes until state.sends_until), too_late, not_possible,
                                                       // and how it ended: registered, expired, tries, locked (or proved)
    const answer = await challenge.enterCode(typed);   // {result: "registered" | "rejected" | "pending", tries_left}
    await challenge.sendAnother();                     // not before state.next_text_in seconds
    latchkey.receiveCode(signal).then(...)             // the code by itself, where the browser can (WebOTP)

Then the backend, which does not trust its page, asks GET /v1/challenges/{id} with its API
key whether it says "registered", and lets the person in, once. The id is the one that it
kept itself for this sign-in: one that a page names may be of somebody else's.

A page that imports this needs in its Content-Security-Policy the address of Latchkey in
script-src and connect-src. Errors are LatchkeyError (with the problem that the server told:
type, detail, status, retryAfter), and NoKey where this browser cannot keep a key, as some do
in private windows: send the form without a proof then, and say why it is refused.

This file is revalidated at every use, so its address stays the same: what is documented
here stays, and more may come.
*/

/** The browser cannot make or keep a key. */
export class NoKey extends Error {}

/** The server refused; the fields are those of RFC 9457. */
export class LatchkeyError extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `status ${status}`);
    this.status = status;
    this.type = problem.type || "";
    this.detail = problem.detail || "";
    this.retryAfter = problem.retry_after || 0; // seconds
  }
}

const ends = ["registered", "proved", "expired", "tries", "locked"];
const most = 50; // keys kept in one browser; the one that was not used for longest makes room
const rounds = 100_000; // of PBKDF2
const nonceAge = 40_000; // milliseconds that a nonce is used for; it is good for 60 s

export class Latchkey {
  #url;
  #nonce = { value: "", at: 0 };

  /** url is where Latchkey is, if it is not where this file came from. */
  constructor(url = new URL(import.meta.url).origin) {
    this.#url = url.replace(/\/$/, "");
  }

  /**
   * Proves this device's key of a user for one POST to an address (a form's action), and
   * makes the key where there is none. Returns {proof, made}.
   */
  async prove(user, address) {
    const { key, made } = await ownKey(user);
    return { proof: await this.#sign(key, "POST", address), made };
  }

  /** Signs in with a password that Latchkey itself knows: POST /v1/sign-ins. */
  async signIn({ user, password, software = "web" }) {
    const { key } = await ownKey(user);
    return this.#call(key, "POST", "/v1/sign-ins", { user_id: user.trim(), password, software });
  }

  /** The challenge of an id, as this device may see it. */
  challenge(id) {
    let found; // its key: the one that was used for it
    const call = async (method, path, body) => {
      const at = `/v1/challenges/${id}${path}`;
      if (found) return this.#call(found, method, at, body, id);
      for (const key of await keys()) {
        try {
          const state = await this.#call(key, "GET", `/v1/challenges/${id}`, undefined, id);
          found = key;
          return method === "GET" ? state : await this.#call(key, method, at, body, id);
        } catch (error) {
          if (error.status !== 404 || found) throw error; // 404: not this key's
        }
      }
      throw new NoKey("The key that this challenge was made for is not in this browser.");
    };
    const state = () => call("GET", "");
    return {
      state,
      enterCode: (code) => call("POST", "/entries", { code }),
      sendAnother: () => call("POST", "/texts"),
      /** Proves the challenge's key for one POST to an address. */
      prove: async (address) => {
        if (!found) await state();
        return { proof: await this.#sign(found, "POST", address, id), made: false };
      },
      /** Tells every change until the challenge ends or signal aborts; returns the last state. */
      follow: (tell, signal) => this.#follow(state, () => call("POST", "/tickets"), id, tell, signal),
    };
  }

  /** Waits for the text and returns its code, where the browser can (Android). Else it waits for ever. */
  async receiveCode(signal) {
    if (!("OTPCredential" in globalThis)) return new Promise(() => {});
    return (await navigator.credentials.get({ otp: { transport: ["sms"] }, signal })).code;
  }

  /** Asks the browser not to throw the key away when space runs short. Call it once registered. */
  async keep() {
    try {
      return (await navigator.storage.persisted()) || (await navigator.storage.persist());
    } catch {
      return false;
    }
  }

  async #follow(state, ticket, id, tell, signal) {
    let last;
    const say = (next) => {
      last = next;
      tell(next);
      return ends.includes(next.status);
    };
    for (let failed = 0; !signal?.aborted; ) {
      try {
        if (say(await state())) return last;
        if (failed < 3 && "EventSource" in globalThis) {
          const began = Date.now();
          const url = `${this.#url}/v1/challenges/${id}/events?ticket=${encodeURIComponent((await ticket()).ticket)}`;
          if (await listen(url, say, signal)) return last;
          failed = Date.now() - began > 10_000 ? 1 : failed + 1;
        }
      } catch (error) {
        if (error.status === 404 || error instanceof NoKey) throw error;
        failed++;
      }
      await pause(Math.min(10, 2 + failed) * 1000, signal);
    }
    return last;
  }

  async #call(key, method, path, body, challenge) {
    for (let again = false; ; again = true) {
      const response = await fetch(this.#url + path, {
        method,
        credentials: "omit",
        headers: { DPoP: await this.#sign(key, method, this.#url + path, challenge), ...(body && { "Content-Type": "application/json" }) },
        body: body && JSON.stringify(body),
      });
      this.#keepNonce(response);
      const answer = response.status === 204 ? {} : await response.json().catch(() => ({}));
      if (response.ok || answer.result === "rejected") return answer;
      if (again || answer.type !== "/problems/use-dpop-nonce") throw new LatchkeyError(response.status, answer);
    }
  }

  #keepNonce(response) {
    const value = response.headers.get("DPoP-Nonce");
    if (value) this.#nonce = { value, at: Date.now() };
  }

  async #freshNonce() {
    if (!this.#nonce.value || Date.now() - this.#nonce.at > nonceAge) {
      const response = await fetch(this.#url + "/v1/nonce", { credentials: "omit", cache: "no-store" });
      if (!response.ok) throw new LatchkeyError(response.status, await response.json().catch(() => ({})));
      this.#keepNonce(response);
    }
    return this.#nonce.value;
  }

  // A DPoP proof (RFC 9449 section 4.2).
  async #sign({ pair, jwk }, method, address, challenge) {
    const url = new URL(address, location.href);
    const claims = { jti: random(16), htm: method, htu: url.origin + url.pathname, iat: Math.floor(Date.now() / 1000), nonce: await this.#freshNonce() };
    if (challenge) claims.challenge = challenge;
    const signed = `${base64url(text({ typ: "dpop+jwt", alg: "ES256", jwk }))}.${base64url(text(claims))}`;
    const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, pair.privateKey, new TextEncoder().encode(signed));
    return `${signed}.${base64url(new Uint8Array(signature))}`;
  }
}

// listen passes a stream's states on until say is content (true), or the stream breaks (false).
function listen(url, say, signal) {
  return new Promise((resolve) => {
    const source = new EventSource(url);
    const end = (content) => {
      source.close();
      resolve(content);
    };
    source.onmessage = (event) => say(JSON.parse(event.data)) && end(true);
    source.onerror = () => end(false);
    signal?.addEventListener("abort", () => end(false), { once: true });
  });
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

// The keys. A key's name is a slow digest of the user, salted for this browser: it finds
// the key before the server knows who signs in, and tells nobody who it is.

async function ownKey(user) {
  try {
    const name = await nameOf(user);
    const have = await store("readwrite", (keys) => use(keys, name));
    if (have) return { key: have, made: false };
    const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
    const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", pair.publicKey);
    const fresh = { name, pair, jwk: { kty, crv, x, y }, used: Date.now() };
    // Another tab may have been first.
    return await store("readwrite", async (keys) => {
      const other = await use(keys, name);
      if (other) return { key: other, made: false };
      await done(keys.put(fresh));
      const all = (await done(keys.getAll())).sort((a, b) => b.used - a.used);
      for (const old of all.slice(most)) keys.delete(old.name);
      return { key: fresh, made: true };
    });
  } catch (error) {
    throw new NoKey(`This browser cannot keep a key: ${error.message}`, { cause: error });
  }
}

async function use(keys, name) {
  const key = await done(keys.get(name));
  if (key) await done(keys.put({ ...key, used: Date.now() }));
  return key;
}

// keys are all keys of this browser, the one that was used last before the others.
async function keys() {
  try {
    return (await store("readonly", (keys) => done(keys.getAll()))).sort((a, b) => b.used - a.used);
  } catch (error) {
    throw new NoKey(`This browser cannot keep a key: ${error.message}`, { cause: error });
  }
}

async function nameOf(user) {
  const salt = await store("readwrite", async (settings) => {
    const have = await done(settings.get("salt"));
    if (have) return have.value;
    const value = crypto.getRandomValues(new Uint8Array(16));
    await done(settings.put({ name: "salt", value }));
    return value;
  }, "setting");
  const known = new TextEncoder().encode(user.trim().normalize().toLowerCase());
  const secret = await crypto.subtle.importKey("raw", known, "PBKDF2", false, ["deriveBits"]);
  return base64url(new Uint8Array(await crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt, iterations: rounds }, secret, 128)));
}

async function store(mode, work, name = "key") {
  const opening = indexedDB.open("latchkey", 1);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore("key", { keyPath: "name" });
    opening.result.createObjectStore("setting", { keyPath: "name" });
  };
  const db = await done(opening);
  try {
    const transaction = db.transaction(name, mode);
    const ended = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
    ended.catch(() => {});
    const result = await work(transaction.objectStore(name));
    await ended;
    return result;
  } finally {
    db.close();
  }
}

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

const text = (value) => new TextEncoder().encode(JSON.stringify(value));
const base64url = (bytes) => btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const random = (n) => base64url(crypto.getRandomValues(new Uint8Array(n)));
