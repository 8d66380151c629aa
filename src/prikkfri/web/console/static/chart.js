// Two panels on one time axis: promises kept a second, and below, on a scale of its own, promises broken. A line for
// each step, in the colour and pattern that stand beside it in the table.
import { lineOf, swatchOf } from "./lines.js";
import uPlot from "./uplot.mjs";

const PANELS = [
  { verdict: "kept", height: 210, axis: false },
  { verdict: "broken", height: 130, axis: true },
];

const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const rate = (value) =>
  value == null ? "–" : value >= 10 ? value.toFixed(0) : value >= 1 || value === 0 ? value.toFixed(1) : value.toFixed(2);

const colourOf = (name) => token(lineOf(name).token);
const swatch = (name) => swatchOf(colourOf(name), lineOf(name).dash);

export class PromisesChart {
  #place; #reading; #zone; #data = null; #panels = [];

  constructor(place, reading, zone) {
    this.#place = place;
    this.#reading = reading;
    this.#zone = zone;
    const redraw = () => this.#draw();
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", redraw);
    new ResizeObserver(() => this.#resize()).observe(place);
  }

  get points() {
    return this.#data?.times.length ?? 0;
  }

  load(data) {
    this.#data = data;
    this.#draw();
    this.colourSwatches();
  }

  // Puts the newest periods at the end and what came late in its place; false when too much is missing.
  extend(tail) {
    const data = this.#data;
    if (!data || data.period !== tail.period || !tail.times.length) return false;
    const last = data.times[data.times.length - 1];
    if (tail.times[0] > last + data.period) return false;
    const sameLines = tail.series.every((line) => data.series.some(({ key }) => key === line.key));
    if (!sameLines) return false;
    const length = data.times.length;
    const kept = data.times.findIndex((time) => time >= tail.times[0]);
    const zeros = tail.times.map(() => 0);
    data.times = [...data.times.slice(0, kept), ...tail.times].slice(-length);
    for (const line of data.series) {
      const fresh = tail.series.find(({ key }) => key === line.key);
      for (const { verdict } of PANELS) {
        line[verdict] = [...line[verdict].slice(0, kept), ...(fresh?.[verdict] ?? zeros)].slice(-length);
      }
    }
    for (const [panel, { verdict }] of this.#panels) panel.setData(this.#columns(verdict));
    this.#place.dataset.newest = data.times[data.times.length - 1];
    this.#read(this.#panels[0]?.[0].cursor.idx);
    return true;
  }

  say(text) {
    this.#clear();
    const told = document.createElement("p");
    told.className = "chart-empty soft";
    told.textContent = text;
    this.#place.append(told);
  }

  colourSwatches() {
    const names = new Map(this.#data?.series.map(({ key, name }) => [key, name]));
    for (const place of document.querySelectorAll(".swatch")) {
      const name = names.get(place.dataset.series);
      place.style.background = name ? swatch(name) : "transparent";
      place.classList.toggle("dashed", Boolean(name && lineOf(name).reported));
    }
  }

  #columns(verdict) {
    return [this.#data.times, ...this.#data.series.map((line) => line[verdict])];
  }

  #clear() {
    for (const [panel] of this.#panels) panel.destroy();
    this.#panels = [];
    this.#place.replaceChildren();
  }

  #draw() {
    if (!this.#data) return;
    if (!this.#data.series.length) {
      this.say("Nothing has been asked in this time.");
      return;
    }
    this.#clear();
    const sync = uPlot.sync("promises");
    for (const panel of PANELS) this.#panels.push([this.#panel(panel, sync), panel]);
    this.#place.dataset.newest = this.#data.times[this.#data.times.length - 1];
    this.#read(null);
  }

  #panel({ verdict, height, axis }, sync) {
    const [text, line] = [token("--text-faint"), token("--line")];
    const font = `12px ${token("--font")}`;
    const grid = { stroke: line, width: 1 };
    const time = new Intl.DateTimeFormat("en-GB", { timeZone: this.#zone, hour: "2-digit", minute: "2-digit" });
    const series = this.#data.series.map(({ name }) => {
      const colour = colourOf(name);
      const broken = verdict === "broken";
      return {
        label: name,
        stroke: colour,
        width: lineOf(name).reported ? 1 : broken ? 1.5 : 2,
        fill: broken ? `${colour}33` : undefined,
        dash: lineOf(name).dash.length ? lineOf(name).dash : undefined,
        points: { show: false },
      };
    });
    const title = document.createElement("p");
    title.className = `panel-title ${verdict}`;
    title.textContent = verdict === "kept" ? "Kept" : "Broken";
    this.#place.append(title);
    return new uPlot(
      {
        width: this.#place.clientWidth,
        height: height + (axis ? 28 : 0),
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), this.#zone),
        legend: { show: false },
        cursor: { sync: { key: sync.key, setSeries: false }, drag: { x: false, y: false }, points: { size: 7 } },
        padding: [8, 22, axis ? 0 : 7, 0],
        scales: { x: { time: true }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
        axes: [
          {
            show: true, size: axis ? 28 : 0, stroke: text, font, grid, ticks: { show: false },
            values: axis ? (_, splits) => splits.map((at) => time.format(at * 1e3)) : () => [],
          },
          { stroke: text, font, grid, ticks: { show: false }, size: 52, values: (_, splits) => splits.map(axisRate) },
        ],
        series: [{}, ...series],
        hooks: { setCursor: [(plot) => this.#read(plot.cursor.idx)] },
      },
      this.#columns(verdict),
      this.#place,
    );
  }

  #read(index) {
    const data = this.#data;
    if (!data?.series.length) return;
    index = data.times[index] ? index : data.times.length - 1; // no pointer on the chart: what is now
    const time = new Intl.DateTimeFormat("en-GB", { timeZone: this.#zone, timeStyle: "medium" });
    const told = [document.createElement("b")];
    told[0].textContent = time.format(data.times[index] * 1e3);
    for (const line of data.series) {
      const item = document.createElement("span");
      const dot = document.createElement("i");
      dot.style.background = swatch(line.name);
      item.append(dot, `${line.name} ${rate(line.kept[index])}`);
      if (line.broken[index]) {
        const broken = document.createElement("span");
        broken.className = "broken";
        broken.textContent = ` ✖ ${rate(line.broken[index])}`;
        item.append(broken);
      }
      told.push(item);
    }
    this.#reading.replaceChildren(...told);
  }

  #resize() {
    for (const [panel, { height, axis }] of this.#panels) {
      panel.setSize({ width: this.#place.clientWidth, height: height + (axis ? 28 : 0) });
    }
  }
}

const axisRate = (value) => (value >= 1000 ? `${value / 1000}k` : `${Math.round(value * 100) / 100}`);
