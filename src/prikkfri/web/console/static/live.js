// The overview: what `Watching` puts in its place, the chart that moves on, the age that ticks.
import { PromisesChart } from "./chart.js";
import { Watching } from "./watching.js";

const overview = document.getElementById("overview");
const { window: shownWindow, zone } = overview.dataset;

const chart = new PromisesChart(document.getElementById("chart"), document.getElementById("reading"), zone);

function ageText(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return whole < 100 ? `${whole} s` : whole < 6000 ? `${Math.round(whole / 60)} min` : `${Math.round(whole / 3600)} h`;
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

await showChart();
const watching = new Watching(`/live?window=${shownWindow}`, overview, ({ chart: tail }) => {
  chart.colourSwatches();
  if (!chart.extend(tail)) showChart();
});
setInterval(() => {
  const age = document.querySelector(".age[data-since]");
  if (age) age.textContent = `newest outcome ${ageText(watching.serverNow() - Number(age.dataset.since))} ago`;
}, 1000);
