// Who is in, and how one comes in. A viewer who is in stays in: nothing here takes a token away because a role is
// silent; only the viewer, or a door that says no, does.
//
//   out ----sign in----> asking ---tokens---> in ---sign out, or refused at the door---> out
//                        |    ^
//       no (a wrong      |    |  the wait is over, or "try now"
//       password, say):  v    |
//       out, with why   waiting (line: in the waiting room of the door; busy: full, the role said when;
//                                silent: it does not work)
//
// `waiting` holds the password in memory only, and lets go of it when the viewer cancels. The ticket of the waiting
// room is kept on the device, so that a reload costs nobody a place.

import { makeConfirming } from "./confirming.js";
import { forget, keep, read } from "./kept.js";
import { pauseSeconds, spread, standing } from "./waiting.js";

const BUSY = ["overloaded", "too-many-joins"]; // refused for now, with a time to come again
const NO_PASS = ["not-your-pass", "pass-spent"]; // one goes to the door for another
const WHY_OF_STATUS = { 400: "wrong", 401: "wrong", 403: "noSubscription", 429: "tooMany" };
const PASS_SECONDS_MIN = 5; // a pass with less left is not worth a try
const LOOK_SECONDS = 3.2; // how often one who waits looks where the front is; with the spread, at least every 4 s
const SOONER_SHARE = 0.8; // of the wait seen, after which to ask when the turn comes sooner than told
const RENEWAL_SECONDS_MAX = 6 * 3600; // a timer never sleeps longer: devices suspend, clocks are set
const now = () => Date.now() / 1000;

// `programmeEnds()`: when the programme that is on ends, or null.
export function makeSession(roles, onChange, programmeEnds = () => null) {
  const confirming = makeConfirming({
    ask: (due) => roles.seen(read("device_token"), due),
    programmeEnds,
    onChange({ device_token, gained }) {
      if (!read("device_token")) return; // signed out meanwhile
      keep("device_token", device_token);
      if (gained) renew(); // what was lost, the token in use outlives
    },
  });
  let state = read("playback") || read("device_token") ? { kind: "in" } : { kind: "out", why: null };
  let leave = null; // aborts the request under way
  let timer = null; // the next try to sign in
  let looking = null; // the next look at where the front of the line is
  let renewal = null; // the next renewal of the playback token
  let renewing = null; // the renewal under way
  let renewalTries = 0;

  function become(next) {
    state = next;
    onChange(state);
  }

  async function signIn(login, password, wait = null) {
    stopTrying();
    const { signal } = (leave = new AbortController());
    become({ kind: "asking", wait });

    // Waits, as what happened demands, and tries again; `since` lasts for as long as the kind of wait does.
    function waitFor(kind, seconds, told = {}) {
      const next = {
        since: wait?.kind === kind ? wait.since : now(),
        tries: wait?.kind === kind ? wait.tries + 1 : 1,
        kind,
        seconds,
        nextTryAt: now() + seconds,
        tryNow: () => signIn(login, password, next),
        ...told,
      };
      timer = setTimeout(next.tryNow, seconds * 1000);
      become({ kind: "waiting", wait: next });
      if (next.position) lookSoon(next);
    }

    // Between two questions the wait is told by what the door publishes for everybody. Whoever sees their turn nearer
    // than they were told to ask asks then.
    function lookSoon(next) {
      looking = setTimeout(async () => {
        const { turns = [] } = await roles.line(signal).catch(() => ({}));
        if (state.wait !== next || state.kind !== "waiting") return;
        const seen = standing(turns, next.position);
        if (seen) {
          next.place = seen.place;
          next.turnAt = now() + seen.seconds;
          if (next.turnAt < next.nextTryAt) {
            clearTimeout(timer);
            next.nextTryAt = now() + SOONER_SHARE * seen.seconds;
            timer = setTimeout(next.tryNow, (next.nextTryAt - now()) * 1000);
          }
        }
        lookSoon(next);
      }, spread(LOOK_SECONDS) * 1000);
    }

    try {
      const { pass, line } = await admission(signal);
      if (line) {
        const seconds = line.wait_s ?? line.poll_after_s;
        const firstSeconds = wait?.kind === "line" ? wait.firstSeconds : seconds;
        waitFor("line", line.poll_after_s, {
          place: line.place,
          position: line.position,
          firstSeconds,
          turnAt: now() + seconds,
        });
        return;
      }
      const answer = await roles.signIn(login, password, pass, signal);
      forget("pass", "ticket");
      keep("device_token", answer.device_token);
      keep("name", answer.name);
      keepPlayback(answer);
      become({ kind: "in" });
    } catch (error) {
      if (error.name === "AbortError") return;
      if (NO_PASS.includes(error.reason)) {
        forget("pass", "ticket");
        waitFor("busy", pauseSeconds(0));
        return;
      }
      const why = WHY_OF_STATUS[error.status];
      if (why) {
        become({ kind: "out", why, seconds: error.retryAfter });
        return;
      }
      const kind = BUSY.includes(error.reason) ? "busy" : "silent";
      if (kind === "silent") {
        roles.reportBroken("sign-in", error.reason);
        showPass();
      }
      waitFor(kind, error.retryAfter ? spread(error.retryAfter) : pauseSeconds(wait?.kind === kind ? wait.tries : 1));
    }
  }

  // How this device may come in now: by the waiting room's `pass`, with a place in the `line`, or with neither, when
  // the door is silent or the line stands still because signin is: then one tries without (signin has some to spare).
  async function admission(signal) {
    const kept = read("pass");
    if (kept && kept.expiresAt - now() > PASS_SECONDS_MIN) return { pass: kept.pass };
    try {
      const ticket = read("ticket");
      const answer = await (ticket ? roles.waiting(ticket, signal) : roles.enter(signal));
      if (answer.admitted) {
        keep("pass", { pass: answer.admitted, expiresAt: answer.expires_at });
        return { pass: answer.admitted };
      }
      keep("ticket", answer.ticket);
      return answer.since === null ? { line: answer } : {};
    } catch (error) {
      if (error.name === "AbortError" || BUSY.includes(error.reason)) throw error;
      if (error.reason === "bad-ticket" || error.reason === "not-yours") {
        forget("ticket");
        return admission(signal);
      }
      roles.reportBroken("enter", error.reason);
      return {};
    }
  }

  // Shows the door, once, the pass to which signin gave no answer: by that it knows that somebody came for it.
  function showPass() {
    const kept = read("pass");
    if (!kept || kept.shown) return;
    keep("pass", { ...kept, shown: true });
    roles.waiting(kept.pass).catch(() => {});
  }

  function stopTrying() {
    leave?.abort();
    clearTimeout(timer);
    clearTimeout(looking);
  }

  function keepPlayback({ playback_token, expires_at, renew_after, renew_by }) {
    keep("playback", { token: playback_token, expiresAt: expires_at, renewAfter: renew_after });
    renewalTries = 0;
    // Not all at the half of life to the second: those who came in together must not renew together.
    const spreadSeconds = (renew_by ?? (renew_after + expires_at) / 2) - renew_after;
    scheduleRenewal(renew_after - now() + Math.random() * Math.max(0, spreadSeconds));
  }

  function scheduleRenewal(seconds) {
    clearTimeout(renewal);
    const sleep = Math.min(Math.max(seconds, 0), RENEWAL_SECONDS_MAX);
    renewal = setTimeout(() => (sleep < seconds ? scheduleRenewal(seconds - sleep) : renew()), sleep * 1000);
  }

  // Asks the door for a new playback token. Resolves to `renewed`, `refused` or `silent`.
  function renew() {
    renewing ??= renewOnce().finally(() => (renewing = null));
    return renewing;
  }

  async function renewOnce() {
    const deviceToken = read("device_token");
    if (!deviceToken) return "refused";
    try {
      keepPlayback(await roles.playbackToken(deviceToken));
      confirming.begin();
      return "renewed";
    } catch (error) {
      const refused = error.status === 401;
      if (!refused) roles.reportBroken("playback-token", error.reason);
      // Refused at the door, the old token is still tried at playout: that one decides who may watch.
      scheduleRenewal(refused ? RENEWAL_SECONDS_MAX : (error.retryAfter ?? 10 * pauseSeconds(renewalTries++)));
      return refused ? "refused" : "silent";
    }
  }

  const playback = read("playback");
  if (state.kind === "in") scheduleRenewal(playback ? playback.renewAfter - now() + Math.random() * 60 : 0);

  return {
    get state() {
      return state;
    },
    signIn,
    renew,
    token: () => read("playback")?.token ?? null,
    name: () => read("name"),
    cancel() {
      stopTrying();
      become({ kind: "out", why: null });
    },
    // Out here at once, whether or not signin is there to hear of it.
    signOut(why = null) {
      stopTrying();
      clearTimeout(renewal);
      confirming.end();
      forget("device_token", "playback", "name");
      roles.signOut().catch(() => {});
      become({ kind: "out", why });
    },
  };
}
