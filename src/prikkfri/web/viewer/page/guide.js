// The programme guide: a row for each channel, a card for each programme, and above them what the card in focus says.

import { gone, isOn } from "./catalogue.js";
import { $, channelStyle, element, show, write } from "./element.js";
import { focusOn, remember, rove } from "./focus.js";
import { clockTime, say, spokenLanguage } from "./words.js";

// `onChoose(channel)` is called when a channel is chosen by what it sends now.
export function makeGuide(catalogue, onChoose) {
  const rows = new Map(); // channel id -> {row, key, cards}
  let pointed = null; // {channel, programme} that the hero tells of, or null: what plays

  const times = (programme) => `${clockTime(programme.start)}–${clockTime(programme.stop)}`;

  function render(playing, time) {
    const container = $("rows");
    const channels = catalogue.channels;
    for (const [id, { row }] of rows) {
      if (channels.some((channel) => channel.id === id)) continue;
      row.remove();
      rows.delete(id);
    }
    channels.forEach((channel, index) => {
      const programmes = catalogue.programmes(channel, time);
      const key = JSON.stringify([spokenLanguage(), channel.name, channel.number, channel.colour, programmes]);
      if (rows.get(channel.id)?.key !== key) renderRow(channel, programmes, key, time);
      const { row, cards } = rows.get(channel.id);
      if (container.children[index] !== row) container.insertBefore(row, container.children[index] ?? null);
      row.classList.toggle("playing", channel.id === playing?.id);
      for (const { card, programme, bar, left } of cards) {
        const on = !programme || isOn(programme, time);
        card.classList.toggle("on", on);
        if (on && channel.id === playing?.id) card.setAttribute("aria-current", "true");
        else card.removeAttribute("aria-current");
        if (!bar) continue;
        show(bar, on);
        bar.firstChild.style.setProperty("--gone", gone(programme, time));
        write(left, on ? say("minutesLeft", { n: Math.ceil((programme.stop - time) / 60) }) : "");
      }
    });
    rove(container);
    renderHero(playing, time);
    const stale = catalogue.staleFrom(time);
    write($("guide-age"), stale ? say("guideAge", { time: clockTime(stale) }) : "");
    write($("clock"), clockTime(time));
  }

  function renderRow(channel, programmes, key, time) {
    const old = rows.get(channel.id);
    const focused = old?.cards.find(({ card }) => card === document.activeElement);
    const cards = (programmes.length ? programmes : [null]).map((programme) => makeCard(channel, programme, time));
    const row = element(
      "section",
      {
        class: "row",
        role: "group",
        "aria-label": `${channel.number} ${channel.name}`,
        style: channelStyle(channel),
        dataset: { row: "", channel: channel.id },
      },
      element(
        "div",
        { class: "tile", "aria-hidden": "true" },
        element("span", { class: "tile-number" }, String(channel.number)),
        element("span", { class: "tile-name" }, channel.name),
      ),
      ...cards.map(({ card }) => card),
    );
    old?.row.replaceWith(row);
    rows.set(channel.id, { row, key, cards });
    if (focused) {
      const same = cards.find(({ programme }) => programme?.start === focused.programme?.start) ?? cards[0];
      focusOn(same.card);
    }
  }

  function makeCard(channel, programme, time) {
    const point = () => {
      if (pointed?.channel === channel && pointed.programme === programme) return;
      pointed = { channel, programme };
      renderHero(null, Date.now() / 1000);
    };
    const choose = () => {
      if (!programme || isOn(programme, Date.now() / 1000)) onChoose(channel);
      else write($("announcer"), `${programme.title}. ${say("startsAt", { time: clockTime(programme.start) })}`);
    };
    const left = element("span", { class: "card-left" });
    const bar = programme && element("span", { class: "progress", "aria-hidden": "true" }, element("span"));
    const card = element(
      "button",
      {
        type: "button",
        class: "card",
        dataset: { stop: "" },
        on: { focus: point, click: choose, pointermove: (event) => event.pointerType === "mouse" && point() },
      },
      element("span", { class: "card-title" }, programme?.title ?? say("noProgramme")),
      element("span", { class: "card-times" }, programme ? times(programme) : "", left),
      bar,
    );
    return { card, programme, bar, left };
  }

  function renderHero(playing, time) {
    const told = pointed ?? (playing && { channel: playing, programme: catalogue.programmes(playing, time)[0] ?? null });
    if (!told) return;
    const { channel, programme } = told;
    for (const [name, value] of Object.entries(channelStyle(channel))) $("guide").style.setProperty(name, value);
    write($("hero-channel"), `${channel.number}  ${channel.name}`);
    write($("hero-title"), programme?.title ?? channel.name);
    let when = "";
    if (programme) {
      when = isOn(programme, time)
        ? `${times(programme)}  ·  ${say("minutesLeft", { n: Math.ceil((programme.stop - time) / 60) })}`
        : `${times(programme)}  ·  ${say("startsAt", { time: clockTime(programme.start) })}`;
    }
    write($("hero-times"), when);
    write($("hero-description"), programme?.description ?? "");
  }

  // Who looks away from the cards is told of what plays again.
  const lookAway = () => (pointed = null);
  $("rows").addEventListener("pointerleave", lookAway);
  $("rows").addEventListener("focusout", (event) => $("rows").contains(event.relatedTarget) || lookAway());

  return {
    render,
    // Puts the focus on what `channel` sends now.
    enter(channel) {
      pointed = null;
      const { cards } = rows.get(channel?.id) ?? rows.values().next().value ?? { cards: [] };
      if (!cards.length) return;
      remember(cards[0].card);
      focusOn(cards[0].card);
    },
    // The hero tells of what plays again.
    leave() {
      pointed = null;
    },
  };
}
