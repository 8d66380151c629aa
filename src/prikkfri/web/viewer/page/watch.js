// The television: the picture, what lies over it, and the keys of a remote.
//
// Over the picture lies nothing, the banner (what is on, and the controls; it goes by itself), or the guide. On an
// upright phone the guide stands below the picture instead, always.

import { gone } from "./catalogue.js";
import { $, channelStyle, element, show, write } from "./element.js";
import { move, rove, watchFocus } from "./focus.js";
import { makeGuide } from "./guide.js";
import { keep, read } from "./kept.js";
import { makePlayer } from "./player.js";
import { clockTime, say } from "./words.js";

const BANNER_SECONDS = 5;
const DIALLING_SECONDS = 1.5; // between the digits of a channel number
const TICK_SECONDS = 1;
const ARROWS = ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"];
const BACK = ["Escape", "GoBack", "BrowserBack", "Backspace"];

const now = () => Date.now() / 1000;

// `onSignIn(why)` is called when watching on needs a new sign-in; `onSettings()` when the settings are asked for.
export function makeWatch({ roles, session, catalogue, operator, statusPage, onSignIn, onSettings }) {
  const stage = $("stage");
  const guideElement = $("guide");
  const video = $("video");
  const upright = matchMedia("(max-width: 45rem) and (orientation: portrait)");
  let channel = null;
  let bannerTimer = null;
  let guideOpen = false;
  let dialled = "";
  let dialTimer = null;
  let awake = false;

  const player = makePlayer(video, {
    addressOf(wanted) {
      if (session.state.kind !== "in") return catalogue.isOpen(wanted.id) ? roles.openAddress(wanted.id) : null;
      return session.token() ? roles.liveAddress(session.token(), wanted.id) : null;
    },
    token: session.token,
    refusal: roles.refusal,
    renew: session.renew,
    reportBroken: (step, reason, which) => roles.reportBroken(step, reason, which.id),
    onChange: render,
  });
  const guide = makeGuide(catalogue, (chosen) => {
    tune(chosen);
    closeGuide();
  });

  // Channels

  function tune(next) {
    if (channel?.id !== next.id || player.state.kind === "idle" || player.state.kind === "refused") {
      channel = next;
      keep("channel", next.id);
      player.play(next);
      const programme = catalogue.programmes(next, now())[0];
      write($("announcer"), say("watching", { channel: next.name, title: programme?.title ?? "" }));
    }
    guide.leave();
    showBanner();
    render();
  }

  function step(by) {
    const channels = watchable();
    if (!channels.length) return;
    const place = channels.findIndex((each) => each.id === channel?.id);
    tune(channels[(place + by + channels.length) % channels.length]);
  }

  // Without a token only open channels can be watched.
  const watchable = () => (session.state.kind === "in" ? catalogue.channels : catalogue.openChannels);

  function dial(digit) {
    dialled = (dialled + digit).slice(-3);
    write($("dialled"), dialled);
    show($("dialled"), true);
    clearTimeout(dialTimer);
    dialTimer = setTimeout(() => {
      const wanted = watchable().find((each) => each.number === Number(dialled));
      dialled = "";
      show($("dialled"), false);
      if (wanted) tune(wanted);
    }, DIALLING_SECONDS * 1000);
  }

  // What lies over the picture

  function showBanner() {
    stage.classList.add("banner-shown");
    clearTimeout(bannerTimer);
    bannerTimer = setTimeout(hideBanner, BANNER_SECONDS * 1000);
  }

  function hideBanner() {
    clearTimeout(bannerTimer);
    const within = $("banner").contains(document.activeElement);
    stage.classList.remove("banner-shown");
    if (within) stage.focus({ preventScroll: true });
  }

  function openGuide() {
    if (guideOpen || upright.matches) return;
    guideOpen = true;
    history.pushState({ guide: true }, "");
    lay();
    hideBanner();
    render();
    guide.enter(channel);
  }

  function closeGuide() {
    if (!guideOpen) return;
    guideOpen = false;
    if (history.state?.guide) history.back();
    lay();
    stage.focus({ preventScroll: true });
    showBanner();
  }

  // The guide is out of reach when it is out of sight.
  function lay() {
    const shown = guideOpen || upright.matches;
    $("watch").classList.toggle("guide-shown", guideOpen);
    guideElement.inert = !shown;
    stage.inert = guideOpen;
    if (upright.matches) delete guideElement.dataset.theme;
    else guideElement.dataset.theme = "dark";
  }

  window.addEventListener("popstate", closeGuide);
  upright.addEventListener("change", () => {
    if (upright.matches) closeGuide();
    lay();
  });

  // Keys

  function onKey(event) {
    if (!awake || document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (handled(event)) event.preventDefault();
  }

  function handled({ key, target }) {
    if (key === "ChannelUp" || key === "PageUp") return step(1), true;
    if (key === "ChannelDown" || key === "PageDown") return step(-1), true;
    if (key === "Guide") return guideOpen ? closeGuide() : openGuide(), true;
    if (guideElement.contains(target)) {
      if (BACK.includes(key) && guideOpen) return closeGuide(), true;
      return ARROWS.includes(key) && move(guideElement, key);
    }
    if (target === $("volume")) return showBanner(), false; // its arrows turn the sound up and down
    if (/^[0-9]$/.test(key)) return dial(key), true;
    const onControl = stage.contains(target) && target !== stage;
    if (BACK.includes(key)) {
      const shown = stage.classList.contains("banner-shown");
      hideBanner();
      return shown;
    }
    showBanner();
    if (key === "ArrowUp") return step(1), true;
    if (key === "ArrowDown") return step(-1), true;
    if (key === "ArrowLeft" || key === "ArrowRight") return move($("banner"), key), true;
    if (key === "Enter" && !onControl) return openGuide(), true;
    if (key === " " && !onControl) return togglePause(), true;
    if (key === "m") return toggleMute(), true;
    if (key === "f") return toggleFullScreen(), true;
    return false;
  }

  // Controls

  function togglePause() {
    player.togglePause();
    renderControls();
  }

  function toggleMute() {
    video.muted = !video.muted;
    keep("muted", video.muted);
  }

  function setVolume(percent) {
    video.volume = percent / 100;
    video.muted = percent === 0;
    keep("volume", percent);
    keep("muted", video.muted);
  }

  async function toggleInPicture() {
    if (document.pictureInPictureElement) await document.exitPictureInPicture();
    else await video.requestPictureInPicture().catch(() => {}); // no picture yet
  }

  async function toggleFullScreen() {
    if (document.fullscreenElement) await document.exitFullscreen();
    else if ($("watch").requestFullscreen) await $("watch").requestFullscreen();
    else video.webkitEnterFullscreen?.(); // iPhone: only a video fills the screen
  }

  const presses = {
    "open-guide": openGuide,
    "channel-up": () => step(1),
    "channel-down": () => step(-1),
    pause: togglePause,
    mute: toggleMute,
    unmute: toggleMute,
    "in-picture": toggleInPicture,
    "full-screen": toggleFullScreen,
    "open-settings": onSettings,
  };
  for (const [id, press] of Object.entries(presses)) $(id).addEventListener("click", press);
  document.addEventListener("keydown", onKey);
  for (const event of ["pointermove", "pointerdown", "focusin"]) stage.addEventListener(event, showBanner);
  stage.addEventListener("dblclick", (event) => event.target === video && toggleFullScreen());
  video.addEventListener("volumechange", renderControls);
  watchFocus($("watch"));
  $("volume").addEventListener("input", (event) => setVolume(Number(event.target.value)));
  show($("in-picture"), Boolean(document.pictureInPictureEnabled));
  video.volume = (read("volume") ?? 100) / 100;
  video.muted = read("muted") ?? false;
  player.chooseQuality(read("quality"));

  // Rendering

  function render() {
    if (!awake) return;
    const time = now();
    const state = player.state;
    guide.render(channel, time);
    renderBanner(time);
    renderControls();
    renderNotice(state, time);
    const covered = state.kind !== "playing" && state.kind !== "stalled";
    stage.classList.toggle("covered", covered);
    stage.classList.toggle("tuning-now", state.kind === "tuning");
    document.title = channel ? `${channel.name} – ${operator}` : operator;
    write($("page-title"), document.title);
  }

  function renderBanner(time) {
    if (!channel) return;
    for (const [name, value] of Object.entries(channelStyle(channel))) stage.style.setProperty(name, value);
    write($("tuning-number"), String(channel.number));
    write($("tuning-name"), channel.name);
    $("banner-tile").replaceChildren(
      element("span", { class: "tile-number" }, String(channel.number)),
      element("span", { class: "tile-name" }, channel.name),
    );
    const [programme, next] = catalogue.programmes(channel, time);
    write($("banner-title"), programme?.title ?? channel.name);
    const left = programme && say("minutesLeft", { n: Math.ceil((programme.stop - time) / 60) });
    write($("banner-times"), programme ? `${clockTime(programme.start)}–${clockTime(programme.stop)}  ·  ${left}` : "");
    $("banner-progress").style.setProperty("--gone", programme ? gone(programme, time) : 0);
    write($("banner-next"), next ? `${say("next")}  ${say("nextAt", { time: clockTime(next.start), title: next.title })}` : "");
    show($("banner-live"), player.state.kind === "playing" && !player.paused);
  }

  function renderControls() {
    const set = (id, icon, words) => {
      const use = $(id).querySelector("use");
      const address = `/icons.svg#${icon}`;
      if (use.getAttribute("href") !== address) use.setAttribute("href", address); // set again, it would flicker
      $(id).setAttribute("aria-label", say(words));
    };
    set("pause", player.paused ? "play" : "pause", player.paused ? "play" : "pause");
    set("mute", video.muted ? "muted" : "sound", video.muted ? "unmute" : "mute");
    const loud = video.muted ? 0 : Math.round(video.volume * 100);
    if (Number($("volume").value) !== loud) $("volume").value = loud;
    show($("unmute"), video.muted && !read("muted") && player.state.kind === "playing");
  }

  // What went wrong, since when, what next; nothing while all is well.
  function renderNotice(state, time) {
    const seconds = Math.max(0, Math.ceil((state.nextTryAt ?? time) - time));
    const values = { channel: channel?.name, time: clockTime(state.since ?? time), s: seconds };
    let told = null;
    if (state.kind === "stalled") told = ["stalledTitle", "stalledText"];
    else if (state.kind === "unplayable") told = ["unplayableTitle", "unplayableText"];
    else if (state.kind === "refused" && state.slug === "not-entitled") told = ["notEntitledTitle", "notEntitledText", "openGuide"];
    else if (state.kind === "refused") told = ["signInTitle", "signInText", "signInInstead"];
    else if (state.kind === "retrying") told = retryingNotice(state);
    else if (state.kind === "tuning" && state.again) told = ["stalledTitle", "tryingAgain"];
    else if (!channel && catalogue.silence) {
      Object.assign(values, {
        time: clockTime(catalogue.silence.since),
        s: Math.max(0, Math.ceil(catalogue.silence.nextTryAt - time)),
      });
      told = ["noChannels", "noChannelsText"];
    }
    show($("notice"), told !== null);
    if (!told) return;
    const [title, text, action] = told;
    write($("notice-title"), say(title, values));
    // Screen readers are told once, not every second: the countdown is only for the eye.
    $("notice-text").setAttribute("aria-live", "off");
    write($("notice-text"), say(text, values));
    show($("notice-action"), Boolean(action) && !(action === "openGuide" && upright.matches));
    if (action) write($("notice-action"), say(action));
    $("notice-action").onclick = {
      tryNow: player.tryNow,
      openGuide,
      signInInstead: () => onSignIn("signedOutByServer"),
    }[action];
    show($("notice-status"), state.kind === "retrying");
  }

  function retryingNotice({ reason }) {
    if (reason === "expired" || reason === "bad-token" || reason === "revoked") return ["expiredTitle", "expiredText", "tryNow"];
    if (reason === "not-found") return ["goneTitle", "goneText", "openGuide"];
    return ["stalledTitle", "retryText", "tryNow"];
  }

  // Starts with the channel that was watched last, or the first, as soon as there is one.
  function begin() {
    if (!awake || channel) return;
    const last = catalogue.channel(read("channel"));
    const first = watchable().find((each) => each.id === last?.id) ?? watchable()[0];
    if (first) tune(first);
  }

  $("notice-status").href = statusPage;
  setInterval(render, TICK_SECONDS * 1000);
  lay();

  return {
    render,
    // Shows the television, on `wanted` when a channel is named.
    wake(wanted = null) {
      awake = true;
      show($("watch"), true);
      rove($("watch"));
      if (wanted) tune(wanted);
      begin();
      render();
      stage.focus({ preventScroll: true });
    },
    sleep() {
      awake = false;
      closeGuide();
      player.stop();
      channel = null;
      show($("watch"), false);
      if (document.fullscreenElement) document.exitFullscreen();
      if (document.pictureInPictureElement) document.exitPictureInPicture();
    },
    // The channel list or guide has changed.
    refresh() {
      begin();
      render();
    },
    get awake() {
      return awake;
    },
    quality: player.quality,
    chooseQuality(height) {
      keep("quality", height);
      player.chooseQuality(height);
    },
  };
}
