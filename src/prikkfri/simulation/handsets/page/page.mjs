// The phones: loads what is on their screens, then follows the server's events. Strings only ever become text nodes.

const grid = document.querySelector("#phones");
const template = document.querySelector("#phone");
const link = document.querySelector("#link");
const news = document.querySelector("#news");
const filter = document.querySelector("#filter");
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const SHOWN_MAX = 200;
const cards = new Map();
const sending = new Set(); // the forms whose text is on its way

function spaced(number) {
  const [, country, national] = number.match(/^(\d\d)(\d{5,})$/) ?? [];
  if (!national) return number;
  const grouped = national.length === 8 ? /(\d{3})(\d\d)(\d{3})/ : /(\d{3})(?=\d)/g;
  return `+${country} ${national.replace(grouped, national.length === 8 ? "$1 $2 $3" : "$1 ")}`;
}

function about(entry) {
  const words = [entry.direction === "in" ? spaced(entry.other) : `to ${spaced(entry.other)}`];
  words.push(clock.format(new Date(entry.time * 1000)));
  if (entry.parts > 1) words.push(`${entry.parts} parts`);
  if (entry.state === "sending") words.push("sending …");
  if (entry.state === "failed") words.push("not sent");
  return words.join(" · ");
}

function paragraph(kind, text) {
  const element = document.createElement("p");
  element.className = kind;
  element.textContent = text;
  return element;
}

function show(card, entry, isNew) {
  const { screen, lines } = card;
  const atEnd = screen.scrollHeight - screen.scrollTop - screen.clientHeight < 40;
  let line = lines.get(entry.id);
  if (!line) {
    line = document.createElement("li");
    lines.set(entry.id, line);
    screen.append(line);
    if (lines.size > SHOWN_MAX) {
      const [oldest, element] = lines.entries().next().value;
      lines.delete(oldest);
      element.remove();
    }
  }
  line.className = `${entry.direction} ${entry.state}${isNew ? " new" : ""}`;
  line.replaceChildren(paragraph("words", entry.text), paragraph("about", about(entry)));
  if (atEnd || !isNew) screen.scrollTop = screen.scrollHeight;
  if (entry.direction === "in" && !card.to.value) card.to.value = /^\d+$/.test(entry.other) ? entry.other : "";
}

function addCard(phone) {
  const element = template.content.cloneNode(true).firstElementChild;
  const screen = element.querySelector(".screen");
  const form = element.querySelector("form");
  const card = { element, screen, lines: new Map(), to: form.elements.to, name: phone.name };
  element.querySelector(".name").textContent = phone.name;
  element.querySelector(".number").textContent = spaced(phone.msisdn);
  element.setAttribute("aria-label", phone.name);
  screen.setAttribute("aria-label", `Messages of ${phone.name}`);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(phone.msisdn, form);
  });
  form.elements.text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  cards.set(phone.msisdn, card);
  grid.append(element);
  return card;
}

async function send(msisdn, form) {
  if (sending.has(form)) return; // a key that is held down, or hit twice: the text stands there until it is sent
  const error = form.querySelector(".error");
  error.textContent = "";
  sending.add(form);
  try {
    const answer = await fetch(`/phones/${msisdn}/send`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ to: form.elements.to.value, text: form.elements.text.value }),
    });
    if (!answer.ok) throw new Error((await answer.json()).message);
    form.elements.text.value = "";
    form.elements.text.focus();
  } catch (problem) {
    error.textContent = `Not sent: ${problem.message}`;
  } finally {
    sending.delete(form);
  }
}

function showLink(linked) {
  link.className = linked ? "up" : "down";
  link.textContent = linked ? "linked to the message centre" : "no link to the message centre";
}

async function load() {
  const { network, linked, phones } = await (await fetch("/phones")).json();
  document.querySelector("#network").textContent = network && `of ${network}`;
  document.title = network ? `Phones of ${network}` : "Phones";
  showLink(linked);
  for (const phone of phones) {
    const card = cards.get(phone.msisdn) ?? addCard(phone);
    for (const entry of phone.entries) show(card, entry, false);
  }
}

filter.addEventListener("input", () => {
  const wanted = filter.value.trim().toLowerCase().replace(/^\+/, "");
  const digits = wanted.replace(/\s/g, "");
  let shown = 0;
  for (const [msisdn, card] of cards) {
    const matches = card.name.toLowerCase().includes(wanted) || (digits && msisdn.includes(digits));
    card.element.hidden = Boolean(wanted) && !matches;
    shown += !card.element.hidden;
  }
  document.querySelector("#empty").hidden = shown > 0;
});

const events = new EventSource("/events");
events.addEventListener("open", load); // again after each gap: what was missed is loaded
events.addEventListener("link", (event) => showLink(JSON.parse(event.data).linked));
events.addEventListener("entry", (event) => {
  const entry = JSON.parse(event.data);
  const card = cards.get(entry.msisdn);
  if (!card) return;
  show(card, entry, true);
  if (entry.direction === "in") news.textContent = `${card.name}: a message from ${entry.other}`;
});
events.addEventListener("error", () => {
  link.className = "down";
  link.textContent = "the phones do not answer; trying again";
});
