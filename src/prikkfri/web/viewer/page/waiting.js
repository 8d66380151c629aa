// How long to wait before another try, in seconds. Everybody's device computes this at the same moment, so each adds
// its own chance: a crowd that was refused together must not come back together.

const PAUSE_SECONDS_FIRST = 1;
const PAUSE_SECONDS_MAX = 30;

// Growing pauses: about 1, 2, 4 ... 30 s for try 0, 1, 2 ...
export function pauseSeconds(tries) {
  return spread(Math.min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_FIRST * 2 ** tries));
}

// Between `seconds` and a quarter more.
export function spread(seconds) {
  return seconds * (1 + Math.random() / 4);
}

// Where a position in the line stands, by what the door publishes for everybody: `[position, ahead, wait_s]`, ordered;
// null where that says nothing of it.
export function standing(turns, position) {
  const next = turns.findIndex(([at]) => at >= position);
  if (next < 0) return null;
  const [toAt, toAhead, toSeconds] = turns[next];
  const [at, ahead, seconds] = turns[Math.max(0, next - 1)];
  const share = toAt > at ? (position - at) / (toAt - at) : 1;
  return { place: Math.floor(ahead + share * (toAhead - ahead)) + 1, seconds: seconds + share * (toSeconds - seconds) };
}

// Runs `task` again and again; it returns, or resolves to, the seconds until the next time. Returns a function that
// makes it run at once. Tasks never overlap.
export function keepDoing(task) {
  let timer = null;
  let running = false;
  async function run() {
    if (running) return;
    running = true;
    clearTimeout(timer);
    const seconds = await task();
    running = false;
    timer = setTimeout(run, seconds * 1000);
  }
  run();
  return run;
}
