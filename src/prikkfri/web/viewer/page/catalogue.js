// The channels and what they send. All of it comes from playout and is kept, so that the last known list and guide
// are there when playout does not answer, and before it does.

import { keep, read } from "./kept.js";
import { keepDoing, pauseSeconds, spread } from "./waiting.js";

const REFRESH_SECONDS = 60;
const GUIDE_REFRESH_SECONDS = 600;
const GUIDE_BEFORE_SECONDS = 3600;
const GUIDE_AFTER_SECONDS = 12 * 3600;
const STALE_SECONDS = 300; // after this the guide says how old it is
const CARDS_MAX = 8; // programmes shown of each channel

const now = () => Date.now() / 1000;

export function makeCatalogue(roles, onChange) {
  let channels = read("channels") ?? [];
  let guide = new Map(Object.entries(read("guide") ?? {})); // channel id -> programmes
  let heardAt = read("catalogue_at") ?? 0;
  let guideAt = 0;
  let open = [];
  let silentSince = null; // when playout first failed to answer, or null while it answers
  let nextTryAt = null;
  let tries = 0;

  async function refresh() {
    try {
      channels = (await roles.channels()).sort((one, other) => one.number - other.number);
      open = await roles.openChannels();
      if (now() - guideAt > GUIDE_REFRESH_SECONDS) {
        const hour = Math.floor(now() / 3600) * 3600; // all devices ask alike, so that playout answers from one copy
        const rows = await roles.guide(hour - GUIDE_BEFORE_SECONDS, hour + GUIDE_AFTER_SECONDS);
        guide = new Map(rows.map(({ id, programmes }) => [id, programmes]));
        guideAt = now();
        keep("guide", Object.fromEntries(guide));
      }
      heardAt = now();
      keep("channels", channels);
      keep("catalogue_at", heardAt);
      silentSince = nextTryAt = null;
      tries = 0;
      onChange();
      return spread(REFRESH_SECONDS);
    } catch {
      silentSince ??= now();
      const seconds = pauseSeconds(tries++);
      nextTryAt = now() + seconds;
      onChange();
      return seconds;
    }
  }

  // Only what is open: whoever stands outside hears of a channel that opens within seconds.
  async function refreshOpen() {
    try {
      open = await roles.openChannels();
      onChange();
    } catch {
      // The whole catalogue is asked for again anyway, and says since when playout is silent.
    }
  }

  return {
    refreshOpen,
    get channels() {
      return channels;
    },
    get openChannels() {
      return open;
    },
    get silence() {
      return silentSince === null ? null : { since: silentSince, nextTryAt };
    },
    channel: (id) => channels.find((channel) => channel.id === id) ?? open.find((channel) => channel.id === id) ?? null,
    isOpen: (id) => open.some((channel) => channel.id === id),
    // When the list is old enough to say so: the time that it is from, else null.
    staleFrom: (time) => (heardAt && time - heardAt > STALE_SECONDS ? heardAt : null),
    // What is on `channel` at `time` and after it, in order; empty when nothing is known.
    programmes(channel, time) {
      const known = guide.get(channel.id) ?? [channel.now, channel.next].filter(Boolean);
      return known.filter((programme) => programme.stop > time).slice(0, CARDS_MAX);
    },
    // When the programme that is on a channel (its id) ends, or null when nothing is known of it.
    programmeEnds: (id) => (guide.get(id) ?? []).find((programme) => isOn(programme, now()))?.stop ?? null,
    follow: () => keepDoing(refresh),
  };
}

export const isOn = (programme, time) => programme.start <= time && time < programme.stop;

// How much of a programme has gone, 0 to 1.
export const gone = (programme, time) =>
  Math.min(1, Math.max(0, (time - programme.start) / (programme.stop - programme.start)));
