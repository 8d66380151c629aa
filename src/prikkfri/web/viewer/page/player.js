// Plays one channel at a time, and brings the picture back by itself. It needs playout and nobody else.
//
//   idle --play--> tuning --first picture--> playing <----> stalled (hls.js and the browser work on it)
//                    |                          |              |  too long
//                    |  playout says no         |  fatal       v
//                    v                          +--------> retrying --pause over--> tuning
//                 refused (expired, bad-token: renewed first; not-entitled: stays; unknown-channel: retried)
//
// hls.js where Media Source Extensions are (its errors say more), the browser's own HLS elsewhere (iPhone).

import Hls from "/vendor/hls.mjs";
import { pauseSeconds } from "./waiting.js";

const LOOK_SECONDS = 0.5;
const STALL_SECONDS = 3; // a picture that stands this long is said to have stopped
const GIVE_UP_SECONDS = 12; // and after this long the stream is taken up anew
const RECOVERED_SECONDS = 20; // of good picture until the pauses begin from the shortest again
const TOKEN_IN_PATH = /\/live\/[^/]+\//;

const now = () => Date.now() / 1000;

// `addressOf(channel)` is where its stream is now, with the newest token, or null when there is none;
// `refusal(address)` asks playout why it refuses; `renew()` gets a new token; `reportBroken(step, reason, channel)`
// tells; `onChange(state)` hears every state.
export function makePlayer(video, { addressOf, token, refusal, renew, reportBroken, onChange }) {
  let state = { kind: "idle" };
  let channel = null;
  let hls = null;
  let tries = 0;
  let renewed = false; // a token refused right after its renewal is not renewed again for this channel
  let retry = null;
  let place = -1; // currentTime when last looked
  let movedAt = 0; // when the picture last moved
  let goodSince = null; // of this load, when the picture began to move
  let paused = false; // by the viewer
  let height = null; // of the picture that the viewer has chosen; null: as the line allows

  function become(next) {
    state = next;
    onChange(state);
  }

  function play(next) {
    channel = next;
    tries = 0;
    renewed = false;
    paused = false;
    load();
  }

  function load() {
    clearTimeout(retry);
    unload();
    const another = state.kind === "retrying" && tries > 0;
    become({ kind: "tuning", again: another, channel, since: another ? state.since : now() });
    movedAt = now();
    goodSince = null;
    place = -1;
    const address = addressOf(channel);
    if (!address) {
      refused("expired");
      return;
    }
    if (Hls.isSupported()) {
      hls = new Hls({
        enableWorker: false, // fMP4 needs no transmuxing, and a worker would want its own line in the policy
        lowLatencyMode: true,
        backBufferLength: 30,
        maxBufferLength: 20,
        cmcd: { contentId: channel.id },
        // Every request carries the newest token, so that a long evening outlives the token that it began with.
        xhrSetup: (request, url) => request.open("GET", withToken(url), true),
      });
      hls.on(Hls.Events.MANIFEST_PARSED, chooseLevel);
      hls.on(Hls.Events.ERROR, (_, error) => error.fatal && fatal(error));
      hls.loadSource(address);
      hls.attachMedia(video);
    } else {
      video.src = address;
    }
    start();
  }

  function withToken(url) {
    const newest = token();
    return newest ? url.replace(TOKEN_IN_PATH, `/live/${newest}/`) : url;
  }

  // The best picture that is no higher than the chosen one; there may be other heights on another channel.
  function chooseLevel() {
    if (!hls) return;
    const fits = hls.levels.map((level, index) => ({ index, height: level.height })).filter((each) => each.height <= height);
    hls.nextLevel = height === null || !fits.length ? -1 : fits.reduce((best, each) => (each.height > best.height ? each : best)).index;
  }

  function start() {
    video.play().catch((error) => {
      // No gesture yet on this page: without sound it may play, and a button offers the sound.
      if (error.name !== "NotAllowedError" || video.muted) return;
      video.muted = true;
      video.play().catch(() => {});
    });
  }

  function unload() {
    hls?.destroy();
    hls = null;
    if (video.hasAttribute("src")) {
      video.removeAttribute("src");
      video.load();
    }
  }

  function fatal(error) {
    const status = error.response?.code ?? 0;
    if (error.type === Hls.ErrorTypes.MEDIA_ERROR && error.details === Hls.ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR) {
      become({ kind: "unplayable", channel, since: now() });
      reportBroken("start-playback", "unplayable", channel);
    } else if (status >= 400 && status < 500) {
      refused();
    } else {
      again(status ? `http-${status}` : error.details);
    }
  }

  async function refused(known = null) {
    const asked = channel;
    const slug = known ?? (await refusal(withToken(addressOf(channel)))) ?? "no-answer";
    if (asked !== channel) return;
    if (slug === "not-entitled") {
      unload();
      become({ kind: "refused", slug, channel, since: now() });
      return;
    }
    if ((slug === "expired" || slug === "bad-token" || slug === "revoked") && !renewed) {
      const answer = await renew();
      if (asked !== channel) return;
      if (answer === "renewed") {
        renewed = true;
        load();
        return;
      }
      if (answer === "refused") {
        unload();
        become({ kind: "refused", slug: "signed-out", channel, since: now() });
        return;
      }
    }
    again(slug);
  }

  // Takes the stream up anew after a growing pause.
  function again(reason) {
    unload();
    reportBroken(goodSince !== null ? "watch" : "start-playback", reason, channel);
    const seconds = pauseSeconds(tries++);
    const since = state.kind === "stalled" || state.kind === "tuning" ? state.since : (state.since ?? now());
    become({ kind: "retrying", reason, channel, since, nextTryAt: now() + seconds });
    clearTimeout(retry);
    retry = setTimeout(load, seconds * 1000);
  }

  function look() {
    const waiting = state.kind === "tuning" || state.kind === "playing" || state.kind === "stalled";
    if (!waiting || paused) return;
    const time = now();
    if (video.currentTime !== place && video.readyState >= 2 && !video.paused) {
      const first = place === -1;
      place = video.currentTime;
      movedAt = time;
      if (first) return; // two looks that differ: it moves
      if (state.kind !== "playing") {
        goodSince = time;
        become({ kind: "playing", channel, since: time });
      }
      if (time - goodSince > RECOVERED_SECONDS) tries = 0;
      return;
    }
    const still = time - movedAt;
    if (still < STALL_SECONDS) return;
    if (still > GIVE_UP_SECONDS) again("no-progress");
    else if (state.kind === "playing") become({ kind: "stalled", channel, since: movedAt });
    if (video.paused) start(); // the browser paused it: a phone call, a tab in the background
  }

  setInterval(look, LOOK_SECONDS * 1000);
  video.addEventListener("error", () => hls || !channel || again(`media-${video.error?.code}`));
  // A device that slept, or a network that came back, is tried at once.
  const wake = () => state.kind === "retrying" && load();
  window.addEventListener("online", wake);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && wake());

  return {
    get state() {
      return state;
    },
    get paused() {
      return paused;
    },
    play,
    tryNow: () => channel && load(),
    // The heights that this channel comes in, the highest first, and the chosen one (null: automatic).
    quality: () => ({
      heights: [...new Set((hls?.levels ?? []).map((level) => level.height))].filter(Boolean).sort((a, b) => b - a),
      chosen: height,
    }),
    chooseQuality(chosen) {
      height = chosen;
      chooseLevel();
    },
    // Pauses the picture, or takes it up where the programme is now: it is live.
    togglePause() {
      paused = !paused;
      if (paused) {
        video.pause();
      } else {
        movedAt = now();
        if (hls?.liveSyncPosition) video.currentTime = hls.liveSyncPosition;
        start();
      }
    },
    stop() {
      clearTimeout(retry);
      unload();
      channel = null;
      become({ kind: "idle" });
    },
  };
}
