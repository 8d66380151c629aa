// The way in: the form, and the wait when sign-in is full or silent.

import { $, channelStyle, element, show, write } from "./element.js";
import { move, rove, watchFocus } from "./focus.js";
import { makeNewPassword } from "./new_password.js";
import { clockTime, duration, say } from "./words.js";

const TICK_SECONDS = 0.25;
const SLOW_SECONDS = 4; // whoever waits longer for an answer is told that it is awaited
const PATIENT_SECONDS = 2; // an ordinary sign-in is over by then, and asks playout for nothing
const OPEN_SECONDS = { silent: 4, busy: 10, line: 10 }; // how often to look for open channels, by the kind of the wait
const now = () => Date.now() / 1000;

// `onOpenChannel(channel)` is called when somebody watches an open channel without signing in.
export function makeSignIn({ session, roles, catalogue, operator, statusPage, onOpenChannel }) {
  const page = $("sign-in");
  const form = $("sign-in-form");
  let told = null; // the wait that the screen reader has been told of
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
    if (key === "Escape" && session.state.wait) session.cancel();
    else if (key === "Escape" && newPassword.opened) newPassword.close();
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

  function render() {
    if (page.hidden) return;
    write($("page-title"), `${say("signIn")} – ${operator}`);
    const { state } = session;
    const wait = state.wait ?? null; // kept while the next try is under way, so that the page stands still
    show(form, !wait && !newPassword.opened);
    newPassword.render();
    page.classList.toggle("choosing", newPassword.opened && !wait);
    const slow = state.kind === "asking" && !wait && outsideSince !== null && now() - outsideSince >= SLOW_SECONDS;
    const note = slow ? "slowSignIn" : noted;
    write($("form-note"), note ? say(note) : "");
    show($("form-note"), note !== null);
    show($("wait"), Boolean(wait));
    page.classList.toggle("waiting", Boolean(wait));
    $("sign-in-button").disabled = state.kind === "asking";
    write($("sign-in-button"), say(state.kind === "asking" ? "signingIn" : "signIn"));
    sayFault();
    if (wait) renderWait(state, wait);
    else told = null;
    lookForOpen(state, wait);
    renderOpen();
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
    const left = Math.max(0, (inLine ? wait.turnAt : wait.nextTryAt) - now());
    const asking = state.kind === "asking" && !inLine; // asking for one's place is nothing to tell of
    $("wait").style.setProperty("--left", asking ? 0 : Math.min(1, left / (inLine ? wait.firstSeconds : wait.seconds)));
    $("wait").classList.toggle("asking", asking);
    write($("wait-figure"), asking ? "" : String(inLine ? wait.place : Math.ceil(left)));
    write($("wait-title"), say(`${wait.kind}Title`, { time: clockTime(wait.since) }));
    const values = { s: Math.ceil(left), place: wait.place, duration: duration(left) };
    write($("wait-text"), asking ? say("tryingAgain") : say(`${wait.kind}Text`, values));
    $("wait-now").disabled = asking;
    show($("wait-now"), wait.kind === "silent"); // when it is full, coming early helps nobody
    show($("wait-status"), wait.kind === "silent");
    if (told === wait.kind) return;
    told = wait.kind;
    rove(page);
    $("wait-title").focus();
    write($("announcer"), `${$("wait-title").textContent}. ${$("wait-text").textContent}`);
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
      show(page, true);
      document.title = operator;
      rove(page);
      render();
      $("login").focus();
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
