// Who is in, and how one comes in. A viewer who is in stays in: nothing here takes a token away because a role is
// silent; only the viewer, or a door that says no, does.
//
//   arriving --nobody waits--> out ----sign in----> asking ---tokens---> in ---sign out, or refused at the door---> out
//        |                      ^                   |    ^
//        | a line, or a ticket  | the turn  no (a   |    |  the wait is over, or "try now"
//        | of one               | has come  wrong   v    |
//        +----> asking <--> waiting         password): waiting
//                                           out, with why
//
// Of `waiting` there is `line`: in the waiting room of the door; `stands`: there, and nobody gets in; `paused`: the
// same, as somebody on duty has ordered; `room`: it has not opened yet; `drained`: nobody new joins, by order;
// `network`: too many come from one network; `busy`: full, the role said when; `silent`: sign-in does not work.
//
// Whoever comes while there is a line joins it first, and gives name and password when the turn comes near. They are
// held in memory only, and let go of when the viewer cancels. The ticket of the waiting room is kept on the device,
// and what was last known of its place, so that neither a reload nor a closed page costs anybody that.

import { makeConfirming } from "./confirming.js";
import { forget, keep, read } from "./kept.js";
import { pauseSeconds, spread, standing } from "./waiting.js";

// Refused for now, with a time to come again.
const BUSY = { overloaded: "busy", "too-many-joins": "network", drained: "drained" };
const IN_LINE = ["line", "paused", "room"]; // where name and password are good for nothing before the turn
const NO_PASS = ["not-your-pass", "pass-spent"]; // one goes to the door for another
const WHY_OF_STATUS = { 400: "wrong", 401: "wrong", 403: "noSubscription", 429: "tooMany" };
const PASS_SECONDS_MIN = 5; // a pass with less left is not worth a try
const ARRIVAL_SECONDS_MAX = 1.2; // for the look whether there is a line
// How often one who waits looks where the front is, with the spread: every 4 s at least; near their turn after a quarter
// of the wait that they saw last.
const LOOK_SECONDS = 3.2;
const LOOK_SECONDS_MIN = 0.8;
const LOOK_SHARE = 0.2;
const SOONER_SHARE = 0.8; // of the wait seen, after which to ask when the turn comes sooner than told
const RENEWAL_SECONDS_MAX = 6 * 3600; // a timer never sleeps longer: devices suspend, clocks are set
const now = () => Date.now() / 1000;

// In which way one waits, by what the door says of the line.
function kindOf({ since, ordered, place }) {
  if (ordered?.state === "paused") return "paused";
  if (ordered?.state === "scheduled" && place === null) return "room";
  return since === null ? "line" : "stands";
}

// What there is to tell of it.
const whatOf = ({ since, ordered }) => ({
  since: (ordered?.state === "paused" ? ordered.since : since) ?? now(),
  reason: ordered?.reason ?? null,
  opensAt: ordered?.opens_at ?? null,
});

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
  let wish = null; // the login and password that were given; null: not yet
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

  function signIn(login, password) {
    wish = { login, password };
    if (IN_LINE.includes(state.wait?.kind)) become({ ...state }); // it is asked for when the turn comes
    else step();
  }

  // Whoever comes stands in the line first when there is one; a door that does not say so at once is not waited for.
  async function arrive(why = null) {
    stopTrying();
    wish = null;
    if (held()) {
      become({ kind: "out", why });
      return;
    }
    forget("pass");
    if (read("ticket")) {
      const place = read("place");
      step(place && { ...place, tries: 0 });
      return;
    }
    const { signal } = (leave = new AbortController());
    become({ kind: "arriving", why });
    const line = await roles.line(signal, ARRIVAL_SECONDS_MAX).catch(() => null);
    if (signal.aborted) return;
    if (line && line.wait_s !== 0) step();
    else become({ kind: "out", why });
  }

  // The next step towards being in: a place in the line, a pass, and, once name and password were given, signing in.
  async function step(wait = null) {
    stopTrying();
    const { signal } = (leave = new AbortController());
    become({ kind: wish || wait ? "asking" : "arriving", wait });

    // Waits, as what happened demands, and tries again; `since` lasts for as long as the kind of wait does.
    function waitFor(kind, seconds, told = {}) {
      const next = {
        since: wait?.kind === kind ? wait.since : now(),
        tries: wait?.kind === kind ? wait.tries + 1 : 1,
        kind,
        seconds,
        nextTryAt: now() + seconds,
        tryNow: () => step(next),
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
        const told = await roles.line(signal).catch(() => null);
        if (state.wait !== next || state.kind !== "waiting") return;
        const seen = standing(told?.turns ?? [], next.position);
        const kind = told && kindOf({ ...told, place: next.place });
        if (kind && kind !== next.kind) {
          Object.assign(next, { kind, ...whatOf(told), firstSeconds: seen?.seconds ?? 1 });
        }
        if (seen) {
          next.place = seen.place;
          next.turnAt = now() + seen.seconds;
          if (next.turnAt < next.nextTryAt) {
            clearTimeout(timer);
            next.nextTryAt = now() + SOONER_SHARE * seen.seconds;
            timer = setTimeout(next.tryNow, (next.nextTryAt - now()) * 1000);
          }
        }
        keepPlace(next);
        lookSoon(next);
      }, spread(Math.min(LOOK_SECONDS, Math.max(LOOK_SECONDS_MIN, LOOK_SHARE * (next.turnAt - now())))) * 1000);
    }

    try {
      const { pass, line, silent } = await admission(signal);
      if (line) {
        const seconds = line.wait_s ?? line.poll_after_s;
        const kind = kindOf(line);
        const told = {
          place: line.place,
          position: line.position,
          firstSeconds: wait?.kind === kind ? wait.firstSeconds : seconds,
          turnAt: now() + seconds,
          ...(wait?.kind === kind && kind === "line" ? {} : whatOf(line)),
        };
        keepPlace({ kind, since: wait?.since, ...told });
        if (kind !== "stands" || !wish) {
          waitFor(kind, line.poll_after_s, told);
          return;
        }
      }
      if (!wish) {
        // Their turn has come; or the door is silent: then a place that is known is kept, and asked for again.
        const place = silent && read("ticket") && read("place");
        const since = wait?.kind === "stands" ? wait.since : now();
        if (place) waitFor("stands", pauseSeconds(wait?.tries ?? 0), { ...place, kind: "stands", since });
        else become({ kind: "out", why: null });
        return;
      }
      const answer = await roles.signIn(wish.login, wish.password, pass, signal);
      wish = null;
      forget("pass", "ticket", "place");
      keep("device_token", answer.device_token);
      keep("name", answer.name);
      keepPlayback(answer);
      become({ kind: "in" });
    } catch (error) {
      if (error.name === "AbortError") return;
      if (NO_PASS.includes(error.reason)) {
        forget("pass", "ticket", "place");
        waitFor("busy", pauseSeconds(0));
        return;
      }
      const why = WHY_OF_STATUS[error.status];
      if (why) {
        wish = null;
        become({ kind: "out", why, seconds: error.retryAfter });
        return;
      }
      const kind = BUSY[error.reason] ?? "silent";
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
    if (held()) return { pass: held() };
    try {
      const ticket = read("ticket");
      const answer = await (ticket ? roles.waiting(ticket, signal) : roles.enter(signal));
      if (answer.admitted) {
        // Whoever has stood in the line is told that it is their turn, and until when; nobody else needs to hear it.
        keep("pass", { pass: answer.admitted, expiresAt: answer.expires_at, turn: Boolean(ticket) || !wish });
        forget("place");
        return { pass: answer.admitted };
      }
      keep("ticket", answer.ticket);
      return { line: answer };
    } catch (error) {
      if (error.name === "AbortError" || error.reason in BUSY) throw error;
      if (error.reason === "bad-ticket" || error.reason === "not-yours") {
        forget("ticket", "place");
        return admission(signal);
      }
      roles.reportBroken("enter", error.reason);
      return { silent: true };
    }
  }

  // The pass that was given to this device, while it is worth a try; else null.
  function held() {
    const kept = read("pass");
    return kept && kept.expiresAt - now() > PASS_SECONDS_MIN ? kept.pass : null;
  }

  // Until when the pass holds of whoever has stood in the line and is called, in seconds since 1970; else null.
  function turn() {
    const kept = read("pass");
    return kept?.turn ? kept.expiresAt : null;
  }

  function keepPlace({ kind, since, place, position, firstSeconds, turnAt, reason, opensAt }) {
    keep("place", { kind, since, place, position, firstSeconds, turnAt, reason, opensAt });
  }

  // Shows the door, once, the pass to which signin gave no answer: by that it knows that somebody came for it.
  function showPass() {
    const kept = read("pass");
    if (!kept || kept.shown) return;
    keep("pass", { ...kept, shown: true });
    roles.waiting(kept.pass).catch(() => {});
  }

  // Tries nothing any more; a place in the line stays kept.
  function rest() {
    stopTrying();
    wish = null;
    become({ kind: "out", why: null });
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
    get turn() {
      return turn();
    },
    // Whether name and password were given, and the sign-in waits for its turn.
    get given() {
      return wish !== null;
    },
    arrive,
    signIn,
    renew,
    token: () => read("playback")?.token ?? null,
    name: () => read("name"),
    // Lets go of name and password. Nobody loses a place that way: who stands in the line goes on standing there.
    cancel() {
      if (!IN_LINE.includes(state.wait?.kind)) {
        rest();
        return;
      }
      wish = null;
      become({ ...state });
    },
    rest,
    // Out here at once, whether or not signin is there to hear of it.
    signOut(why = null) {
      stopTrying();
      clearTimeout(renewal);
      confirming.end();
      forget("device_token", "playback", "name");
      roles.signOut().catch(() => {});
      arrive(why);
    },
  };
}
