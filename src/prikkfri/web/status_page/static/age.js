// Lets the age go on counting, and fetches the page anew; when it cannot be fetched, says so.
const REFRESH_SECONDS = 15;
const offline = document.getElementById("offline");
let fetchedAt = Date.now();

function tick() {
  const age = document.querySelector(".age[data-updated]");
  if (!age) return;
  // The server's clock, carried on by ours: a reader's clock may be wrong by hours.
  age.started ??= performance.now();
  const seconds = Number(age.dataset.at) - Number(age.dataset.updated) + (performance.now() - age.started) / 1000;
  const [unit, size] = seconds < 100 ? ["s", 1] : seconds < 6000 ? ["min", 60] : seconds < 172800 ? ["h", 3600] : ["d", 86400];
  const said = age.dataset[unit].replace("{n}", Math.max(0, Math.floor(seconds / size)));
  age.textContent = age.dataset.says.replace("{age}", said);
}

async function refresh() {
  try {
    const answer = await fetch(location.href, { cache: "no-cache" });
    if (!answer.ok) throw new Error(answer.status);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = fresh.title;
    for (const part of document.querySelectorAll("main > section")) part.remove();
    document.querySelector("main").append(...fresh.querySelectorAll("main > section"));
    fetchedAt = Date.now();
    offline.hidden = true;
  } catch {
    const time = new Intl.DateTimeFormat(document.documentElement.lang, { timeZone: document.body.dataset.zone, timeStyle: "short" });
    offline.textContent = document.body.dataset.offline.replace("{time}", time.format(fetchedAt));
    offline.hidden = false;
  }
}

setInterval(tick, 1000);
setInterval(refresh, REFRESH_SECONDS * 1000);
