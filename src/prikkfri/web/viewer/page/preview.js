// The way in, to look at: each of its states, with nobody behind it. Nothing is asked of any other role, and nothing is
// kept, so that an operator can look in the middle of a crowd. `?state=`, `&lang=` and `&theme=` choose what is shown.

import { $, element, write } from "./element.js";
import { settings } from "./roles.js";
import { makeSignIn } from "./sign_in.js";
import { LANGUAGES, chooseLanguage, say, sayAll, speak, spokenLanguage } from "./words.js";

const THEMES = ["system", "light", "dark"];
const PASS_SECONDS = 300;
const now = () => Date.now() / 1000;

const waiting = (kind, told) => ({ kind: "waiting", wait: { kind, since: now() - 120, tries: 1, ...told } });
const inLine = (place, seconds) => waiting("line", { place, firstSeconds: 2 * seconds, turnAt: now() + seconds });
const later = (seconds) => ({ seconds, nextTryAt: now() + seconds });

// What the session would say in each state that people meet, in the order in which they may.
const STATES = {
  waiting: () => ({ state: inLine(4_219, 540) }),
  soon: () => ({ state: inLine(37, 25) }),
  given: () => ({ state: inLine(37, 25), given: true }),
  still: () => ({ state: waiting("stands", { place: 4_219, firstSeconds: 20, ...later(20) }) }),
  paused: () => ({ state: waiting("paused", { place: 4_219, reason: "fault", firstSeconds: 20, ...later(20) }) }),
  room: () => ({ state: waiting("room", { place: null, opensAt: now() + 900, firstSeconds: 1_800, ...later(20) }) }),
  drained: () => ({ state: waiting("drained", later(20)) }),
  turn: () => ({ state: { kind: "out", why: null }, turn: now() + PASS_SECONDS }),
  late: () => ({ state: { kind: "out", why: null }, turn: now() - 60 }),
  refused: () => ({ state: waiting("network", later(20)) }),
  busy: () => ({ state: waiting("busy", later(8)) }),
  silent: () => ({ state: waiting("silent", later(12)) }),
  form: () => ({ state: { kind: "out", why: null } }),
  wrong: () => ({ state: { kind: "out", why: "wrong" } }),
};

const at = await settings();
const asked = new URLSearchParams(location.search);
chooseLanguage(asked.get("lang"));
for (const brand of document.querySelectorAll(".brand-name")) write(brand, at.operator);

let shown = null;
let chosen = Object.hasOwn(STATES, asked.get("state") ?? "") ? asked.get("state") : "waiting";
let theme = THEMES.includes(asked.get("theme")) ? asked.get("theme") : "system";
const session = {
  get state() {
    const { wait } = shown.state;
    const over = wait && now() > (wait.opensAt ?? wait.turnAt ?? wait.nextTryAt);
    if (over) shown = STATES[chosen](); // it goes on for as long as one looks
    return shown.state;
  },
  get turn() {
    return shown.turn ?? null;
  },
  get given() {
    return shown.given ?? false;
  },
  signIn() {},
  cancel() {},
};
const nobody = { askForCode: () => Promise.reject(new Error()), setPassword: () => Promise.reject(new Error()) };
const catalogue = { openChannels: [], refreshOpen() {} };
const signIn = makeSignIn({
  session,
  roles: nobody,
  catalogue,
  operator: at.operator,
  statusPage: at.status,
  texts: at.texts,
  onOpenChannel() {},
});

function show() {
  shown = STATES[chosen]();
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  sayAll(document);
  signIn.show();
  signIn.render();
  signIn.fault(shown.state.why ?? null);
  const address = new URLSearchParams({ state: chosen, lang: spokenLanguage(), theme });
  history.replaceState(null, "", `${location.pathname}?${address}`);
  bar();
}

// A select with its label; `words` and a value's name are the key of what it is called.
function choice(id, label, value, values, words, onChoose) {
  const options = values.map((name) => element("option", { value: name, selected: name === value }, say(words + name)));
  const choose = (event) => {
    onChoose(event.target.value);
    show();
    $(id).focus();
  };
  return [element("label", { for: id }, say(label)), element("select", { id, on: { change: choose } }, ...options)];
}

function bar() {
  $("languages").replaceChildren(
    ...Object.entries(LANGUAGES).map(([language, name]) => {
      const press = () => {
        speak(language);
        show();
        $("languages").querySelector('[aria-pressed="true"]').focus();
      };
      const pressed = String(language === spokenLanguage());
      return element("button", { type: "button", lang: language, "aria-pressed": pressed, on: { click: press } }, name);
    }),
  );
  $("preview")?.remove();
  document.body.prepend(
    element(
      "aside",
      { id: "preview", class: "preview", "aria-label": say("preview") },
      element("p", {}, say("preview")),
      ...choice("preview-state", "previewState", chosen, Object.keys(STATES), "preview_", (name) => (chosen = name)),
      ...choice("preview-theme", "appearance", theme, THEMES, "", (name) => (theme = name)),
    ),
  );
}

show();

// What this device keeps may be older than what is served: a new version is looked for, and then shown.
navigator.serviceWorker?.addEventListener("controllerchange", () => location.reload());
navigator.serviceWorker?.getRegistration().then((registration) => registration?.update()).catch(() => {});
