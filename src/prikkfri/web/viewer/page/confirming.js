// What signin is asked after the door alone has let this device in: that it is in use, and what it may watch now.
// Nothing waits for the answer. While signin is under pressure it is put off, at most to the end of the programme.

import { pauseSeconds, spread } from "./waiting.js";

const SOON_SECONDS = 20;
const UNKNOWN_SECONDS = 2 * 3600; // to the end of a programme that no guide tells of
const BEFORE_END_SHARE = 0.25; // of the time until the end: not everybody asks as the match ends
const PAUSE_TIMES = 30; // the pauses are longer than those of somebody who waits

const now = () => Date.now() / 1000;

// `ask(due)` resolves to `{ device_token, gained }`, or null when nothing has changed; `due`: it is put off no longer.
// `programmeEnds()`: when what is on ends, or null.
export function makeConfirming({ ask, programmeEnds, onChange }) {
  let timer = null;
  let by = 0;
  let tries = 0;

  function begin() {
    const left = Math.max(0, (programmeEnds() ?? now() + UNKNOWN_SECONDS) - now());
    by = now() + left * (1 - BEFORE_END_SHARE * Math.random());
    tries = 0;
    next(spread(SOON_SECONDS));
  }

  function next(seconds) {
    clearTimeout(timer);
    const left = by - now();
    const last = left <= seconds; // the clock may yet say a moment before, when it rings
    timer = setTimeout(confirm, 1000 * (left > 0 ? Math.min(seconds, left) : seconds), last);
  }

  async function confirm(last) {
    try {
      const changed = await ask(last || now() >= by);
      if (changed) onChange(changed);
    } catch (error) {
      if (error.status === 401) return; // the door will say so
      next(Math.max(spread(error.retryAfter ?? 0), PAUSE_TIMES * pauseSeconds(tries++)));
    }
  }

  return { begin, end: () => clearTimeout(timer) };
}
