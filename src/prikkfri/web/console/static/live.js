// Keeps the overview current: the server renders, this puts what has changed in its place and moves the chart on.
import { PromisesChart } from "./chart.js";

const overview = document.getElementById("overview");
const connection = document.getElementById("connection");
const { window: shownWindow, zone } = overview.dataset;
const STALE_SECONDS = 10;

// What the server's clock says, by the last thing that it told us.
let serverAhead = Number(overview.dataset.at) - Date.now() / 1000;
const serverNow = () => Date.now() / 1000 + serverAhead;
const timeOfDay = new Intl.DateTimeFormat("en-GB", { timeZone: zone, timeStyle: "medium" });
let heardAt = serverNow();

const chart = new PromisesChart(document.getElementById("chart"), document.getElementById("reading"), zone);

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
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "style") old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
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

function ageText(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return whole < 100 ? `${whole} s` : whole < 6000 ? `${Math.round(whole / 60)} min` : `${Math.round(whole / 3600)} h`;
}

function tick() {
  const age = document.querySelector(".age[data-since]");
  if (age) age.textContent = `newest outcome ${ageText(serverNow() - Number(age.dataset.since))} ago`;
  const silence = serverNow() - heardAt;
  connection.hidden = silence < STALE_SECONDS;
  if (!connection.hidden) {
    connection.textContent =
      `Not live: nothing heard from the console since ${timeOfDay.format(heardAt * 1000)}. ` +
      "What stands here is from then; it is tried again by itself.";
  }
  overview.classList.toggle("stale", !connection.hidden);
}

async function loadChart() {
  const answer = await fetch(`/chart.json?window=${shownWindow}`, { cache: "no-store" });
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error(`the chart answered ${answer.status}`);
  chart.load(await answer.json());
}

async function showChart() {
  try {
    await loadChart();
  } catch {
    chart.say("The chart could not be loaded; it is tried again by itself.");
    setTimeout(showChart, 3000);
  }
}

function listen() {
  const events = new EventSource(`/live?window=${shownWindow}`);
  events.addEventListener("overview", ({ data }) => {
    const { at, html, chart: tail } = JSON.parse(data);
    serverAhead = at - Date.now() / 1000;
    heardAt = at;
    for (const [id, part] of Object.entries(html)) place(id, part);
    chart.colourSwatches();
    if (!chart.extend(tail)) showChart();
    tick();
  });
  events.addEventListener("error", () => {
    if (events.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    setTimeout(async () => {
      const answer = await fetch("/chart.json", { cache: "no-store" }).catch(() => null);
      if (answer?.status === 401) location.reload();
      else listen();
    }, 3000);
  });
}

await showChart();
listen();
setInterval(tick, 1000);
