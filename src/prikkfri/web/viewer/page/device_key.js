// Whose a place in the line is: a key that this browser made and lets nobody take out, not even us; and where it can
// make none (televisions, pages not over HTTPS), a secret that lies with the tokens. docs/architecture.md, "Waiting
// room", says what is signed.

import { keep, read } from "./kept.js";

const CURVE = { name: "ECDSA", namedCurve: "P-256" };
const SIGNATURE = { name: "ECDSA", hash: "SHA-256" };
const DATABASE = "prikkfri";
const STORE = "keys";
const NAME = "device";
const KEY_SECONDS_MAX = 3; // a store that does not answer by then is none

let own = null; // a promise of `{ names, proof(purpose, subject) }`, made at the first need

// What tells the door to whom it gives tickets and passes: `{ holder }` or `{ secret }`.
export const names = async () => (await mine()).names;

// That `subject`, a ticket (for `enter`) or a pass (for `sign-in`), is shown by its holder.
export const proof = async (purpose, subject) => (await mine()).proof(purpose, subject);

function mine() {
  return (own ??= Promise.race([byKey(), tooLate()]).catch(bySecret));
}

async function byKey() {
  const { publicKey, privateKey } = await keptPair();
  const { x, y } = await crypto.subtle.exportKey("jwk", publicKey);
  const thumbprint = await crypto.subtle.digest("SHA-256", octets(`{"crv":"P-256","kty":"EC","x":"${x}","y":"${y}"}`));
  return {
    names: { holder: `k-${text(thumbprint)}` },
    async proof(purpose, subject) {
      const signature = await crypto.subtle.sign(SIGNATURE, privateKey, octets(`prikkfri-${purpose}\n${subject}`));
      return `${x}.${y}.${text(signature)}`;
    },
  };
}

// The secret is shown in the body of a request only; what the door is shown while one waits stands in an address.
function bySecret() {
  const secret = read("secret") ?? text(crypto.getRandomValues(new Uint8Array(32)));
  keep("secret", secret);
  return { names: { secret }, proof: async (purpose) => (purpose === "sign-in" ? secret : "") };
}

// The pair of this browser. Two pages that make one at the same time keep the one that came first.
async function keptPair() {
  const database = await asked(indexedDB.open(DATABASE, 1), (opening) => opening.result.createObjectStore(STORE));
  const kept = await asked(database.transaction(STORE).objectStore(STORE).get(NAME));
  if (kept) return kept;
  const made = await crypto.subtle.generateKey(CURVE, false, ["sign", "verify"]);
  const store = database.transaction(STORE, "readwrite").objectStore(STORE);
  const first = await asked(store.get(NAME));
  if (first) return first;
  await asked(store.put(made, NAME));
  return made;
}

function asked(request, onUpgrade = null) {
  return new Promise((resolve, reject) => {
    request.onupgradeneeded = () => onUpgrade?.(request);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("blocked"));
  });
}

function tooLate() {
  return new Promise((_, reject) => setTimeout(() => reject(new Error("too late")), KEY_SECONDS_MAX * 1000));
}

const octets = (words) => new TextEncoder().encode(words);

function text(bytes) {
  const characters = String.fromCharCode(...new Uint8Array(bytes));
  return btoa(characters).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}
