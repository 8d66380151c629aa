// The way in: the line when there is one, the form when the turn comes, and the wait when sign-in is full or silent.

import { $, channelStyle, element, show, write } from "./element.js";
import { move, rove, watchFocus } from "./focus.js";
import { makeNewPassword } from "./new_password.js";
import { clockTime, duration, figure, say, spokenLanguage } from "./words.js";

const TICK_SECONDS = 0.25;
const SLOW_SECONDS = 4; // whoever waits longer for an answer is told that it is awaited
const PATIENT_SECONDS = 2; // an ordinary sign-in is over by then, and asks playout for nothing
const NEAR_SECONDS = 30; // before the turn, from when on name and password can be given: a pass is then used at once
// How often to look for open channels, by the kind of the wait.
const OPEN_SECONDS = { silent: 4, busy: 10, line: 10, stands: 4, paused: 4, room: 10, drained: 10, network: 10 };
const PLACED = ["line", "stands", "paused", "room"]; // who waits so has a place
const now = () => Date.now() / 1000;

// `texts` are the operator's own, by language: `headline`, and `waiting` for those in the line.
// `onOpenChannel(channel)` is called when somebody watches an open channel without signing in.
export function makeSignIn({ session, roles, catalogue, operator, statusPage, texts = {}, onOpenChannel }) {
  const page = $("sign-in");
  const form = $("sign-in-form");
  let scene = null; // what is shown: told to the screen reader when it changes
  let near = false; // the turn comes so soon that name and password can be given
  let openShown = "";
  let outsideSince = null; // since when somebody has stood outside who wants in
  let openAskedAt = 0;
  let sayFault = () => {}; // again, when the language changes
  let noted = null; // what went well, said below the form
  const newPassword = makeNewPassword({
    roles,
    onSet(login, password) {
      if (login) {
        $("login").value = login;
        session.signIn(login, password);
      } else {
        noted = "passwordSet";
        render();
      }
    },
    onClose() {
      render();
      rove(page);
      $("login").focus();
    },
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const login = $("login").value.trim();
    const password = $("password").value;
    if (!login || !password) {
      fault("missing", login ? $("password") : $("login"));
      return;
    }
    fault(null);
    noted = null;
    session.signIn(login, password);
  });
  $("no-password").addEventListener("click", () => {
    fault(null);
    noted = null;
    newPassword.open($("login").value.trim());
    render();
  });
  $("reveal").addEventListener("click", () => {
    const shown = $("password").type === "text";
    $("password").type = shown ? "password" : "text";
    $("reveal").setAttribute("aria-pressed", String(!shown));
    write($("reveal"), say(shown ? "reveal" : "conceal"));
  });
  $("wait-now").addEventListener("click", () => session.state.wait?.tryNow());
  $("wait-cancel").addEventListener("click", () => session.cancel());
  $("wait-status").href = statusPage;
  watchFocus(page);
  page.addEventListener("keydown", (event) => {
    const { key, target } = event;
    const writing = target.tagName === "INPUT";
    if (key === "Escape" && newPassword.opened) newPassword.close();
    else if (key === "Escape" && cancellable()) session.cancel();
    else if (key === "ArrowUp" || key === "ArrowDown" || (key.startsWith("Arrow") && !writing)) {
      if (move(page, key)) event.preventDefault();
    } else if (key === "ArrowRight" && target.name === "password" && target.selectionStart === target.value.length) {
      if (move(page, key)) event.preventDefault();
    }
  });

  // Says below the form what is wrong, in the words for `key`; null: nothing is.
  function fault(key, field = null, values = {}) {
    for (const input of [$("login"), $("password")]) {
      if (key) {
        input.setAttribute("aria-invalid", "true");
        input.setAttribute("aria-describedby", "form-error");
      } else {
        input.removeAttribute("aria-invalid");
        input.removeAttribute("aria-describedby");
      }
    }
    sayFault = () => write($("form-error"), key ? say(key, values) : "");
    sayFault();
    show($("form-error"), Boolean(key));
    field?.focus();
  }

  // Who stands in the line has nothing to give up but what they gave.
  function cancellable() {
    const { wait } = session.state;
    return Boolean(wait) && (!PLACED.includes(wait.kind) || wait.kind === "stands" || session.given);
  }

  function render() {
    if (page.hidden) return;
    const { state } = session;
    const wait = newPassword.opened ? null : (state.wait ?? null); // kept while the next try is under way
    near = wait?.kind === "line" && (near || wait.turnAt - now() <= NEAR_SECONDS);
    const asked = !wait || (near && !session.given);
    show(form, asked && !newPassword.opened && state.kind !== "arriving");
    newPassword.render();
    page.classList.toggle("choosing", newPassword.opened);
    const slow = state.kind === "asking" && !wait && outsideSince !== null && now() - outsideSince >= SLOW_SECONDS;
    const note = state.kind === "arriving" ? "waitPlease" : slow ? "slowSignIn" : noted;
    write($("form-note"), note ? say(note) : "");
    show($("form-note"), note !== null);
    show($("wait"), Boolean(wait));
    page.classList.toggle("waiting", Boolean(wait));
    const busy = state.kind === "asking" && !wait;
    $("sign-in-button").disabled = busy;
    write($("sign-in-button"), say(busy ? "signingIn" : "signIn"));
    write($("headline"), texts.headline?.[spokenLanguage()] || say("headline"));
    sayFault();
    const turn = !wait && !newPassword.opened && state.kind === "out" ? session.turn : null;
    renderTurn(turn);
    if (wait) renderWait(state, wait);
    renderTitles(wait, turn);
    lookForOpen(state, wait);
    renderOpen();
    enter(wait, turn);
  }

  function renderTurn(until) {
    show($("turn"), until !== null);
    if (until === null) return;
    const left = until - now();
    const values = { time: clockTime(until), duration: duration(Math.max(0, left)) };
    write($("turn-title"), say(left > 0 ? "turnTitle" : "turnOverTitle"));
    write($("turn-text"), say(left > 0 ? "turnText" : "turnOverText", values));
  }

  // The tab tells it, too, for whoever looks at another one meanwhile.
  function renderTitles(wait, turn) {
    write($("page-title"), `${say("signIn")} – ${operator}`);
    const left = wait?.kind === "line" ? wait.turnAt - now() : 0;
    if (turn !== null && turn > now()) document.title = `${say("turnTitle")} – ${operator}`;
    else if (left >= 1) document.title = `${duration(left)} – ${operator}`;
    else document.title = wait ? `${$("wait-title").textContent} – ${operator}` : operator;
  }

  // Tells of what has changed, once, and leaves the focus where somebody writes.
  function enter(wait, turn) {
    const kind = session.state.kind;
    if (kind === "asking" && !wait) return; // the form stands as it is
    const next = newPassword.opened ? "new password" : wait ? wait.kind : turn === null ? kind : "turn";
    const told = `${next}${wait ? ` ${near} ${session.given}` : ""}`;
    if (told === scene) return;
    const before = scene?.split(" ")[0];
    scene = told;
    rove(page);
    const writing = form.contains(document.activeElement) && !form.hidden;
    if (wait) {
      const next = near && !session.given ? $("wait-next").textContent : $("wait-text").textContent;
      write($("announcer"), `${$("wait-title").textContent}. ${next}`);
      if (before !== wait.kind || form.hidden) $("wait-title").focus();
    } else if (next === "turn" || next === "out") {
      if (next === "turn") write($("announcer"), `${$("turn-title").textContent}. ${$("turn-text").textContent}`);
      if (!writing) $("login").focus();
    }
  }

  function lookForOpen(state, wait) {
    const outside = wait || state.kind === "asking";
    outsideSince = outside ? (outsideSince ?? now()) : null;
    if (!outside || now() - outsideSince < PATIENT_SECONDS) return;
    // The first look comes at once, and differently late for each: a crowd must not ask all together.
    const seconds = openAskedAt < outsideSince ? Math.random() : OPEN_SECONDS[wait?.kind ?? "silent"];
    if (now() - Math.max(openAskedAt, outsideSince + PATIENT_SECONDS) < seconds) return;
    openAskedAt = now();
    catalogue.refreshOpen();
  }

  function renderWait(state, wait) {
    const inLine = wait.kind === "line";
    const placed = PLACED.includes(wait.kind);
    const end = { line: wait.turnAt, room: wait.opensAt }[wait.kind] ?? wait.nextTryAt;
    const left = Math.max(0, end - now());
    const asking = state.kind === "asking" && (!placed || wait.kind === "stands"); // of one's place nothing is to tell
    $("wait").style.setProperty("--left", asking ? 0 : Math.min(1, left / (placed ? wait.firstSeconds : wait.seconds)));
    $("wait").classList.toggle("asking", asking);
    const place = wait.kind === "room" ? clockTime(wait.opensAt) : figure(wait.place);
    const ring = asking ? "" : placed ? place : String(Math.ceil(left));
    write($("wait-figure"), ring);
    $("wait-figure").classList.toggle("long", ring.length > 5);
    write($("wait-title"), say(`${wait.kind}Title`, { time: clockTime(wait.opensAt ?? wait.since) }));
    const values = { s: Math.ceil(left), place, duration: duration(left), time: clockTime(wait.since) };
    const text = inLine && left < 1 ? "lineSoonText" : `${wait.kind}Text`;
    write($("wait-text"), asking ? say("tryingAgain") : say(text, values));
    const told = session.given ? "lineGiven" : near ? "lineNear" : "lineNext";
    const paused = { fault: "pausedFault", maintenance: "pausedMaintenance" }[wait.reason] ?? "pausedOther";
    write($("wait-next"), wait.kind === "paused" ? say(paused) : inLine || wait.kind === "room" ? say(told) : "");
    write($("wait-own"), placed ? (texts.waiting?.[spokenLanguage()] ?? "") : "");
    for (const id of ["wait-next", "wait-own"]) show($(id), $(id).textContent !== "");
    $("wait-now").disabled = asking;
    show($("wait-now"), wait.kind === "silent"); // when it is full, coming early helps nobody
    show($("wait-status"), wait.kind === "silent" || wait.kind === "stands");
    write($("wait-cancel"), say(wait.kind === "stands" ? "signInAnyway" : "cancel"));
    show($("wait-cancel"), cancellable());
  }

  function renderOpen() {
    const channels = catalogue.openChannels;
    show($("open"), channels.length > 0);
    const key = JSON.stringify(channels.map(({ id, name, number, now: on }) => [id, name, number, on?.title]));
    if (key === openShown) return;
    openShown = key;
    $("open-channels").replaceChildren(
      ...channels.map((channel) =>
        element(
          "button",
          {
            type: "button",
            class: "open-channel",
            style: channelStyle(channel),
            dataset: { stop: "" },
            on: { click: () => onOpenChannel(channel) },
          },
          element("span", { class: "tile" }, element("span", { class: "tile-name" }, channel.name)),
          element("span", { class: "open-title" }, channel.now?.title ?? channel.name),
        ),
      ),
    );
    rove(page);
  }

  setInterval(render, TICK_SECONDS * 1000);

  return {
    render,
    show() {
      if (!page.hidden) return;
      scene = null;
      show(page, true);
      rove(page);
      render();
    },
    // For whoever comes by customer service's link.
    openLink(link) {
      newPassword.openLink(link);
      render();
    },
    hide() {
      show(page, false);
      noted = null;
      $("password").value = "";
    },
    fault,
  };
}
