// "Was I hit?": what the service knows of faults that this customer met, and what they get for it.

import { $, element, show, write } from "./element.js";
import { clockTime, dayTime, money, say, spokenLanguage } from "./words.js";

// `deviceToken` gives the token of whoever is signed in, or null.
export function makeHits(roles, deviceToken) {
  let told = null; // the incidents, `asking`, `silent`, or null before anybody asked

  async function ask() {
    told = "asking";
    render();
    try {
      told = (await roles.wasIHit(deviceToken())).incidents;
    } catch {
      told = "silent";
    }
    render();
  }

  function render() {
    show($("hits"), deviceToken() !== null);
    const place = $("hits-told");
    if (told === null) place.replaceChildren();
    else if (told === "asking") write(place, say("hitAsking"));
    else if (told === "silent") write(place, say("hitSilent"));
    else if (!told.length) write(place, say("notHit"));
    else place.replaceChildren(element("ul", {}, ...told.map((each) => element("li", {}, ...paragraphs(each)))));
  }

  function paragraphs({ what, since, until, asked_at, got_at, credit }) {
    const incident = { what: what[spokenLanguage()], from: dayTime(since), to: until && clockTime(until) };
    const own = { asked: clockTime(asked_at), got: got_at && clockTime(got_at) };
    const lines = [say(until ? "hitOver" : "hitNow", incident), say(got_at ? "hitGot" : "hitAsked", own)];
    if (credit) lines.push(say("hitCredit", { amount: money(credit.amount, credit.currency) }));
    return lines.map((line) => element("p", {}, line));
  }

  $("ask-hit").addEventListener("click", ask);

  return {
    render,
    // For the next who opens the settings, perhaps somebody else.
    forget() {
      told = null;
      render();
    },
  };
}
