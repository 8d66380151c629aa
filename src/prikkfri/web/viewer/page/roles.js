// Talks to the other roles, as docs/architecture.md says. Every request has an end.

import { names, proof } from "./device_key.js";
import { pauseSeconds } from "./waiting.js";

const ANSWER_SECONDS_MAX = 10;
const SIGN_IN_SECONDS_MAX = 20; // longer than a queue at sign-in may be: who hangs up early wastes its work
const REPORT_PAUSE_SECONDS = 60; // the same report at most this often
const REPORTS_PER_HOUR_MAX = 20;

// The role answered, and said no. `reason` is the slug of its answer, `retryAfter` its wish in seconds, or null.
class Refused extends Error {
  constructor(status, reason, retryAfter) {
    super(`refused: ${status} ${reason}`);
    this.status = status;
    this.reason = reason;
    this.retryAfter = retryAfter;
  }
}

// The role gave no answer; `reason` is `no-answer` or `timeout`.
class Unreachable extends Error {
  constructor(reason) {
    super(`unreachable: ${reason}`);
    this.reason = reason;
  }
}

// Resolves to the JSON of the answer (null when it has none); rejects with Refused, Unreachable, or AbortError when
// `signal` was aborted.
async function ask(url, { seconds = ANSWER_SECONDS_MAX, signal, ...request } = {}) {
  const end = new AbortController();
  const timer = setTimeout(() => end.abort("timeout"), seconds * 1000);
  const leave = () => end.abort("left");
  signal?.addEventListener("abort", leave);
  try {
    const response = await fetch(url, { cache: "no-store", ...request, signal: end.signal });
    const answer = parsed(await response.text());
    if (response.ok) return answer;
    const reason = answer?.error ?? `http-${response.status}`;
    throw new Refused(response.status, reason, answer?.retry_after_s ?? null);
  } catch (error) {
    if (error instanceof Refused || error instanceof Unreachable) throw error;
    if (signal?.aborted) throw new DOMException("left", "AbortError");
    throw new Unreachable(end.signal.aborted ? "timeout" : "no-answer");
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", leave);
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const json = (body) => ({
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

const signed = (deviceToken, request) => ({
  ...request,
  headers: { ...request.headers, Authorization: `Bearer ${deviceToken}` },
});

// Asks until it is told; the shell on the device answers at once.
export async function settings() {
  for (let tries = 0; ; tries++) {
    try {
      return await ask("/settings.json");
    } catch {
      await new Promise((wake) => setTimeout(wake, 1000 * pauseSeconds(tries)));
    }
  }
}

// `at` are the public URLs of the roles, `device` this device's pseudonym, `token()` a token that says whose it is, or
// null.
export function makeRoles(at, device, token) {
  const reported = new Map(); // what was said -> when, in milliseconds
  return {
    enter: async (signal) => ask(`${at.door}/enter`, { ...json({ device, ...(await names()) }), signal }),
    // `ticket`, or a pass to which signin gave no answer.
    waiting: async (ticket, signal) =>
      ask(`${at.door}/waiting?${new URLSearchParams({ ticket, proof: await proof("enter", ticket) })}`, { signal }),
    line: (signal, seconds) => ask(`${at.door}/line`, { signal, seconds, cache: "default" }), // the same for everybody
    signIn: async (login, password, pass, signal) =>
      ask(`${at.signin}/sign-in`, {
        ...json({ login, password, device, pass, proof: pass && (await proof("sign-in", pass)) }),
        credentials: "include",
        seconds: SIGN_IN_SECONDS_MAX,
        signal,
      }),
    signOut: () => ask(`${at.signin}/sign-out`, { method: "POST", credentials: "include", keepalive: true }),
    playbackToken: (deviceToken) =>
      ask(`${at.door}/playback-token`, { method: "POST", headers: { Authorization: `Bearer ${deviceToken}` } }),
    askForCode: (login, language) => ask(`${at.signin}/password/code`, json({ login, device, language })),
    // `proof` is `{ link }`, or the `{ login, code }` that this device asked for.
    setPassword: (proof, password) =>
      ask(`${at.signin}/password`, { ...json({ ...proof, device, password }), seconds: SIGN_IN_SECONDS_MAX }),
    devices: (deviceToken) => ask(`${at.signin}/devices`, { headers: { Authorization: `Bearer ${deviceToken}` } }),
    // `which` is `{ device }`, or `{ others: true }`.
    endDevices: (deviceToken, which) => ask(`${at.signin}/devices/end`, signed(deviceToken, json(which))),
    // `due`: it is answered under pressure too.
    seen: (deviceToken, due) => ask(`${at.signin}/devices/seen`, signed(deviceToken, json({ due }))),
    wasIHit: (deviceToken) =>
      ask(`${at.assurance}/was-i-hit`, { headers: { Authorization: `Bearer ${deviceToken}` } }),
    channels: () => ask(`${at.playout}/channels`),
    guide: (from, to) => ask(`${at.playout}/guide?from=${Math.floor(from)}&to=${Math.floor(to)}`),
    openChannels: () => ask(`${at.playout}/open`),
    liveAddress: (token, channel) => `${at.playout}/live/${token}/${encodeURIComponent(channel)}/index.m3u8`,
    openAddress: (channel) => `${at.playout}/open/${encodeURIComponent(channel)}/index.m3u8`,
    // The slug with which playout refuses a stream, or null when it does not refuse.
    async refusal(address) {
      try {
        const response = await fetch(address, { cache: "no-store" });
        return response.status < 400 || response.status >= 500 ? null : (parsed(await response.text())?.error ?? "");
      } catch {
        return null;
      }
    },
    // Tells playout of a step that broke on this device. Never waited for, and seldom: a device that fails must not
    // become a crowd.
    reportBroken(step, cause, channel = "") {
      const reason = cause.replace(/([A-Z])/g, "-$1").toLowerCase();
      const time = Date.now();
      for (const [said, when] of reported) if (time - when > 3600_000) reported.delete(said);
      const said = `${step} ${reason} ${channel}`;
      if (time - (reported.get(said) ?? -Infinity) < REPORT_PAUSE_SECONDS * 1000) return;
      if (reported.size >= REPORTS_PER_HOUR_MAX) return;
      reported.set(said, time);
      ask(`${at.playout}/report`, { ...json({ device, step, kept: false, reason, channel, token: token() ?? "" }), keepalive: true }).catch(
        () => {},
      );
    },
  };
}
