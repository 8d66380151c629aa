// What this device keeps: its pseudonym, its tokens, the last channel list and guide, and the viewer's choices.
// The decision record "Where the device token is kept" says why the tokens lie in localStorage.

const PREFIX = "prikkfri.";
const memory = new Map(); // stands in where storage is forbidden: the evening works, the next one begins anew

export function read(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name)) ?? memory.get(name) ?? null;
  } catch {
    return memory.get(name) ?? null;
  }
}

export function keep(name, value) {
  memory.set(name, value);
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Full or forbidden: memory holds it for as long as the page is open.
  }
}

export function forget(...names) {
  for (const name of names) {
    memory.delete(name);
    try {
      localStorage.removeItem(PREFIX + name);
    } catch {
      // Nothing was kept there either.
    }
  }
}

// The pseudonym of this device, made once: `d-` and 22 base64url characters (128 random bits).
export function device() {
  let name = read("device");
  if (!name) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    name = "d-" + btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
    keep("device", name);
  }
  return name;
}
