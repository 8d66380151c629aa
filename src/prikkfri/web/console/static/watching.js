// Keeps a page current: the server renders, this puts what has changed in its place, and says so when nothing comes.

const STALE_SECONDS = 10;

function morph(old, fresh) {
  // Changes only what differs, so that the keyboard's focus and a reader's place stay where they are.
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh.cloneNode(true));
    return;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) return;
  if (old.dataset?.key !== fresh.dataset?.key) {
    old.replaceWith(fresh.cloneNode(true));
    return;
  }
  // Whether something is unfolded is the reader's own doing.
  const kept = (name) => name === "style" || (name === "open" && old.nodeName === "DETAILS");
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !kept(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) {
    if (!kept(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const freshChildren = [...fresh.childNodes];
  while (old.childNodes.length > freshChildren.length) old.lastChild.remove();
  freshChildren.forEach((child, index) => {
    if (index < old.childNodes.length) morph(old.childNodes[index], child);
    else old.append(child.cloneNode(true));
  });
}

function place(id, html) {
  const old = document.getElementById(id);
  const fresh = old.cloneNode(false);
  fresh.innerHTML = html;
  morph(old, fresh);
}

// `root` is what goes stale: its data-at is the server's clock, data-zone where the reader's clock stands.
export class Watching {
  #url;
  #root;
  #connection = document.getElementById("connection");
  #onSeen;
  #timeOfDay;
  #serverAhead; // What the server's clock says, by the last thing that it told us.
  #heardAt;

  constructor(url, root, onSeen = () => {}) {
    this.#url = url;
    this.#root = root;
    this.#onSeen = onSeen;
    this.#timeOfDay = new Intl.DateTimeFormat("en-GB", { timeZone: root.dataset.zone, timeStyle: "medium" });
    this.#serverAhead = Number(root.dataset.at) - Date.now() / 1000;
    this.#heardAt = this.serverNow();
    this.#listen();
    setInterval(() => this.#tick(), 1000);
  }

  serverNow() {
    return Date.now() / 1000 + this.#serverAhead;
  }

  #listen() {
    const events = new EventSource(this.#url);
    events.addEventListener("seen", ({ data }) => {
      const seen = JSON.parse(data);
      this.#serverAhead = seen.at - Date.now() / 1000;
      for (const [id, part] of Object.entries(seen.html)) place(id, part);
      this.#onSeen(seen);
      this.#heard();
    });
    events.addEventListener("same", () => this.#heard());
    events.addEventListener("error", () => {
      if (events.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
      setTimeout(async () => {
        const answer = await fetch("/chart.json", { cache: "no-store" }).catch(() => null);
        if (answer?.status === 401) location.reload();
        else this.#listen();
      }, 3000);
    });
  }

  #heard() {
    this.#heardAt = this.serverNow();
    this.#tick();
  }

  #tick() {
    const connection = this.#connection;
    connection.hidden = this.serverNow() - this.#heardAt < STALE_SECONDS;
    if (!connection.hidden) {
      connection.textContent =
        `Not live: nothing heard from the console since ${this.#timeOfDay.format(this.#heardAt * 1000)}. ` +
        "What stands here is from then; it is tried again by itself.";
    }
    this.#root.classList.toggle("stale", !connection.hidden);
  }
}
