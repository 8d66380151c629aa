// How the line of each step looks: a colour and a pattern of its own, the same whatever else is there.

const COLOURS = 8;
const STEPS = [
  "enter", "sign-in", "playback-token", "start-playback", "switch-channel", "watch", "submit", "deliver",
  "receipt", "canary", "route", "send-code", "set-password", "picture",
];
const DASHES = [[], [12, 4], [3, 4], [12, 4, 3, 4]];
const REPORTED = " (reported)";

function placeOf(name) {
  const step = name.replace(REPORTED, "");
  const known = STEPS.indexOf(step);
  // One that nobody foresaw comes after all that are known, by its letters.
  return known >= 0 ? known : STEPS.length + ([...step].reduce((sum, letter) => sum + letter.codePointAt(0), 0) % COLOURS);
}

// The token of its colour (`--series-1` ...), its pattern as canvases take it, and whether only devices tell of it.
export function lineOf(name) {
  const place = placeOf(name);
  return {
    token: `--series-${(place % COLOURS) + 1}`,
    dash: DASHES[(place + Math.floor(place / COLOURS)) % DASHES.length],
    reported: name.endsWith(REPORTED),
  };
}

// The same line as the background of a small element.
export function swatchOf(colour, dash) {
  if (!dash.length) return colour;
  let at = 0;
  const stops = dash.map((length, index) => {
    const from = at;
    at += length / 2;
    return `${index % 2 ? "transparent" : colour} ${from}px ${at}px`;
  });
  return `repeating-linear-gradient(90deg, ${stops.join(", ")})`;
}
