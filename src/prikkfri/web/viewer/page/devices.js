// "Signed in on": the devices of whoever is signed in, each of which they may sign out.

import { $, element, show, write } from "./element.js";
import { rove } from "./focus.js";
import { dayTime, say } from "./words.js";

// `deviceToken` gives the token of whoever is signed in, or null.
export function makeDevices(roles, deviceToken) {
  let told = null; // the devices, `asking`, `silent`, or null before anybody asked

  async function tell(request) {
    told = "asking";
    render();
    try {
      await request();
      told = (await roles.devices(deviceToken())).devices;
    } catch {
      told = "silent";
    }
    render();
    if (told !== "silent") $("ask-devices").focus();
  }

  const look = () => tell(async () => {});
  const end = (which) => tell(() => roles.endDevices(deviceToken(), which));

  function render() {
    show($("devices"), deviceToken() !== null);
    const place = $("devices-told");
    if (told === null) place.replaceChildren();
    else if (told === "asking") write(place, say("hitAsking"));
    else if (told === "silent") write(place, say("hitSilent"));
    else place.replaceChildren(element("ul", {}, ...told.map(item)), ...others());
    rove($("settings"));
  }

  function item({ device, name, first_at, seen_at, here }) {
    const known = name || say("unknownDevice");
    const words = [
      element("p", {}, here ? say("thisDevice", { name: known }) : known),
      element("p", {}, say("deviceTimes", { first: dayTime(first_at), seen: dayTime(seen_at) })),
    ];
    const end = here ? null : endButton(device, known);
    return element("li", { dataset: { row: "" } }, element("div", {}, ...words), end);
  }

  function endButton(device, name) {
    const label = say("endDevice", { name });
    const properties = { type: "button", class: "secondary small", "aria-label": label, dataset: { stop: "" } };
    return element("button", { ...properties, on: { click: () => end({ device }) } }, say("signOut"));
  }

  function others() {
    if (told.filter((each) => !each.here).length < 2) return [];
    const properties = { type: "button", class: "secondary", dataset: { stop: "" } };
    const button = element("button", { ...properties, on: { click: () => end({ others: true }) } }, say("endOthers"));
    return [element("div", { dataset: { row: "" } }, button)];
  }

  $("ask-devices").addEventListener("click", look);

  return {
    render,
    // For the next who opens the settings, perhaps somebody else.
    forget() {
      told = null;
      render();
    },
  };
}
