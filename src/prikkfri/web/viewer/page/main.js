// Puts the viewer together. After the first visit every file of it comes from this device (service_worker.js).

import { makeCatalogue } from "./catalogue.js";
import { makeDevices } from "./devices.js";
import { $, element, write } from "./element.js";
import { move, rove } from "./focus.js";
import { makeHits } from "./hits.js";
import { device, keep, read } from "./kept.js";
import { makeRoles, settings } from "./roles.js";
import { makeSession } from "./session.js";
import { makeSignIn } from "./sign_in.js";
import { makeWatch } from "./watch.js";
import { LANGUAGES, chooseLanguage, say, sayAll, speak, spokenLanguage } from "./words.js";

const THEMES = ["dark", "light", "system"];

const at = await settings();
for (const brand of document.querySelectorAll(".brand-name")) write(brand, at.operator);
chooseLanguage(read("language"));
wear(read("theme") ?? "system");

const roles = makeRoles(at, device(), () => read("playback")?.token ?? read("device_token") ?? null);
const session = makeSession(roles, onSession, () => catalogue.programmeEnds(read("channel")));
const catalogue = makeCatalogue(roles, () => {
  watch.refresh();
  signIn.render();
});
const watch = makeWatch({
  roles,
  session,
  catalogue,
  operator: at.operator,
  statusPage: at.status,
  onSignIn: (why) => session.signOut(why),
  onSettings: openSettings,
});
const hits = makeHits(roles, () => read("device_token") ?? null);
const devices = makeDevices(roles, () => read("device_token") ?? null);
const signIn = makeSignIn({
  session,
  roles,
  catalogue,
  operator: at.operator,
  statusPage: at.status,
  texts: at.texts,
  onOpenChannel: watchOpen,
});

function onSession(state) {
  if (state.kind === "in") {
    signIn.hide();
    watch.wake();
    return;
  }
  if (watch.awake) watch.sleep();
  signIn.show();
  signIn.render();
  if (state.kind === "out") {
    signIn.fault(state.why, state.why === "wrong" ? $("password") : null, { s: Math.ceil(state.seconds ?? 0) });
  }
}

function watchOpen(channel) {
  session.rest();
  signIn.hide();
  watch.wake(channel);
}

// Settings

function wear(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

function segment(pressed, words, onPress) {
  return element(
    "button",
    { type: "button", "aria-pressed": String(pressed), dataset: { stop: "" }, on: { click: onPress } },
    words,
  );
}

function languageSegments(target) {
  const choose = (language) => {
    speak(language);
    keep("language", language);
    sayEverything();
    [...$(target).children].find((each) => each.getAttribute("aria-pressed") === "true").focus();
  };
  $(target).replaceChildren(
    ...Object.entries(LANGUAGES).map(([language, name]) => {
      const made = segment(language === spokenLanguage(), name, () => choose(language));
      made.lang = language;
      return made;
    }),
  );
}

function themeSegments() {
  const worn = read("theme") ?? "system";
  const choose = (theme) => {
    keep("theme", theme);
    wear(theme);
    themeSegments();
    $("settings-themes").children[THEMES.indexOf(theme)].focus();
  };
  $("settings-themes").replaceChildren(...THEMES.map((theme) => segment(theme === worn, say(theme), () => choose(theme))));
  rove($("settings"));
}

function qualitySegments() {
  const { heights, chosen } = watch.quality();
  const choose = (height) => {
    watch.chooseQuality(height);
    qualitySegments();
    [...$("settings-quality").children].find((each) => each.getAttribute("aria-pressed") === "true")?.focus();
  };
  $("settings-quality").replaceChildren(
    segment(chosen === null, say("automatic"), () => choose(null)),
    ...heights.map((height) => segment(chosen === height, `${height}p`, () => choose(height))),
  );
  rove($("settings"));
}

function sayEverything() {
  sayAll(document);
  languageSegments("languages");
  languageSegments("settings-languages");
  themeSegments();
  qualitySegments();
  rove($("sign-in"));
  signIn.render();
  watch.render();
  hits.render();
  devices.render();
}

function openSettings() {
  const name = session.name();
  write($("settings-name"), name ? say("signedInAs", { name }) : "");
  write($("sign-out"), say(session.state.kind === "in" ? "signOut" : "signIn"));
  hits.forget();
  devices.forget();
  qualitySegments();
  $("settings").showModal();
  rove($("settings"));
  $("settings-close").focus();
}

$("settings-status").href = at.status;
$("settings-close").addEventListener("click", () => $("settings").close());
$("sign-out").addEventListener("click", () => {
  $("settings").close();
  session.signOut();
});
$("settings").addEventListener("keydown", (event) => {
  if (event.key.startsWith("Arrow") && move($("settings"), event.key)) event.preventDefault();
});

sayEverything();
catalogue.follow();
if (session.state.kind === "in") onSession(session.state);
else session.arrive();
takeLink();
addEventListener("hashchange", takeLink);

// Customer service's link to a new password. It is for one use, so neither the address nor the history keeps it.
function takeLink() {
  const link = /^#password=([\w-]{43})$/.exec(location.hash)?.[1];
  if (!link) return;
  history.replaceState(null, "", location.pathname);
  if (session.state.kind === "in" || watch.awake) session.signOut();
  signIn.openLink(link);
}

// The shell stays on the device; a new version is taken in quietly and worn at the next visit, or now when nobody
// is watching.

if ("serviceWorker" in navigator) {
  const policy = window.trustedTypes?.createPolicy("viewer", { createScriptURL: () => "/service_worker.js" });
  const address = policy?.createScriptURL("") ?? "/service_worker.js";
  const hadShell = Boolean(navigator.serviceWorker.controller);
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (hadShell && session.state.kind === "out" && !watch.awake && !$("login").value) location.reload();
  });
  navigator.serviceWorker.register(address).catch(() => {}); // forbidden here: the viewer then needs its role
}
