// What the viewer says, in Norwegian (bokmål), Swedish and English.

export const LANGUAGES = { nb: "Norsk", sv: "Svenska", en: "English" };

const WORDS = {
  en: {
    headline: "Live television.\nCome in.",
    login: "E-mail or mobile number",
    password: "Password",
    reveal: "Show",
    conceal: "Hide",
    signIn: "Sign in",
    signingIn: "Signing in …",
    signOut: "Sign out",
    cancel: "Cancel",
    close: "Close",
    tryNow: "Try now",
    statusPage: "Status page",
    language: "Language",
    appearance: "Appearance",
    dark: "Dark",
    light: "Light",
    system: "System",
    settings: "Settings",
    signedInAs: "Signed in as {name}",

    wrong: "That combination of login and password is not right.",
    missing: "Fill in both fields.",
    tooMany: "Too many tries that went wrong. Wait {s} s before the next one.",
    noSubscription: "This subscription has no television in it.",
    signedOutByServer: "Sign in to go on watching.",
    lineTitle: "Many are on their way in",
    lineText: "You are number {place} in line, about {duration} from the door. Leave this page open; you keep your place.",
    busyTitle: "Many are on their way in",
    busyText: "We try again for you in {s} s. Leave this page open; there is nothing you need to do.",
    silentTitle: "Sign-in has not worked since {time}",
    silentText: "We try again for you in {s} s. Whoever is already in can go on watching.",
    tryingAgain: "Trying now …",
    openChannels: "Watch now without signing in",

    picture: "Television picture. Arrow up and down change channel, Enter opens the guide.",
    live: "Live",
    guide: "Guide",
    next: "Next",
    nextAt: "{time} {title}",
    minutesLeft: "{n} min left",
    startsAt: "Starts at {time}",
    watching: "Watching {channel}. {title}",
    unmute: "Turn the sound on",
    mute: "Turn the sound off",
    pause: "Pause",
    play: "Play",
    channelUp: "Next channel",
    channelDown: "Previous channel",
    fullScreen: "Full screen",
    guideAge: "Guide as of {time}",
    noProgramme: "No programme details",
    noChannels: "No channels yet",
    noChannelsText: "The channel list has not answered since {time}. We try again in {s} s.",

    stalledTitle: "The picture has stopped",
    stalledText: "Since {time}. We are getting it back.",
    retryText: "Since {time}. We try again in {s} s.",
    notEntitledTitle: "{channel} is not in your subscription",
    notEntitledText: "Choose another channel in the guide.",
    expiredTitle: "Your right to watch must be renewed",
    expiredText: "The service that renews it has not answered since {time}. We try again in {s} s.",
    goneTitle: "{channel} is not on the air",
    goneText: "We try again in {s} s. Other channels are in the guide.",
    unplayableTitle: "This browser cannot play the picture",
    unplayableText: "It lacks H.264 video. Try another browser.",
    signInTitle: "Sign in to watch {channel}",
    signInText: "Open channels can be watched without.",
    openGuide: "Open the guide",
    signInInstead: "Sign in",

    wasIHit: "Was I hit by a fault?",
    hitAsking: "Looking …",
    notHit: "No. As far as we know, you got what you asked for.",
    hitSilent: "That cannot be looked up right now. Try again a little later.",
    hitOver: "{what}, {from} to {to}.",
    hitNow: "{what}, since {from}.",
    hitAsked: "You tried {asked} and did not get it.",
    hitGot: "You tried {asked} and got it {got}.",
    hitCredit: "{amount} comes off your next bill.",
  },
  nb: {
    headline: "Direktesendt TV.\nKom inn.",
    login: "E-post eller mobilnummer",
    password: "Passord",
    reveal: "Vis",
    conceal: "Skjul",
    signIn: "Logg inn",
    signingIn: "Logger inn …",
    signOut: "Logg ut",
    cancel: "Avbryt",
    close: "Lukk",
    tryNow: "Prøv nå",
    statusPage: "Statusside",
    language: "Språk",
    appearance: "Utseende",
    dark: "Mørkt",
    light: "Lyst",
    system: "Som enheten",
    settings: "Innstillinger",
    signedInAs: "Logget inn som {name}",

    wrong: "Innlogging og passord stemmer ikke sammen.",
    missing: "Fyll ut begge feltene.",
    tooMany: "For mange mislykkede forsøk. Vent {s} s før du prøver igjen.",
    noSubscription: "Dette abonnementet har ikke TV.",
    signedOutByServer: "Logg inn for å se videre.",
    lineTitle: "Mange er på vei inn",
    lineText: "Du er nummer {place} i køen, omtrent {duration} fra døren. La siden stå åpen, du beholder plassen.",
    busyTitle: "Mange er på vei inn",
    busyText: "Vi prøver igjen for deg om {s} s. La siden stå åpen, du trenger ikke gjøre noe.",
    silentTitle: "Innloggingen har ikke virket siden {time}",
    silentText: "Vi prøver igjen for deg om {s} s. De som alt er inne, kan se videre.",
    tryingAgain: "Prøver nå …",
    openChannels: "Se nå uten å logge inn",

    picture: "TV-bilde. Pil opp og ned bytter kanal, Enter åpner programguiden.",
    live: "Direkte",
    guide: "Guide",
    next: "Neste",
    nextAt: "{time} {title}",
    minutesLeft: "{n} min igjen",
    startsAt: "Begynner {time}",
    watching: "Ser på {channel}. {title}",
    unmute: "Slå på lyden",
    mute: "Slå av lyden",
    pause: "Pause",
    play: "Spill av",
    channelUp: "Neste kanal",
    channelDown: "Forrige kanal",
    fullScreen: "Fullskjerm",
    guideAge: "Guide fra {time}",
    noProgramme: "Ingen programopplysninger",
    noChannels: "Ingen kanaler ennå",
    noChannelsText: "Kanallisten har ikke svart siden {time}. Vi prøver igjen om {s} s.",

    stalledTitle: "Bildet har stanset",
    stalledText: "Siden {time}. Vi henter det tilbake.",
    retryText: "Siden {time}. Vi prøver igjen om {s} s.",
    notEntitledTitle: "{channel} er ikke med i abonnementet ditt",
    notEntitledText: "Velg en annen kanal i guiden.",
    expiredTitle: "Retten til å se må fornyes",
    expiredText: "Tjenesten som fornyer den, har ikke svart siden {time}. Vi prøver igjen om {s} s.",
    goneTitle: "{channel} sender ikke nå",
    goneText: "Vi prøver igjen om {s} s. Andre kanaler står i guiden.",
    unplayableTitle: "Denne nettleseren kan ikke vise bildet",
    unplayableText: "Den mangler H.264-video. Prøv en annen nettleser.",
    signInTitle: "Logg inn for å se {channel}",
    signInText: "Åpne kanaler kan ses uten.",
    openGuide: "Åpne guiden",
    wasIHit: "Ble jeg rammet av en feil?",
    hitAsking: "Ser etter …",
    notHit: "Nei. Så vidt vi vet, fikk du det du ba om.",
    hitSilent: "Det kan ikke slås opp akkurat nå. Prøv igjen litt senere.",
    hitOver: "{what}, {from} til {to}.",
    hitNow: "{what}, siden {from}.",
    hitAsked: "Du prøvde {asked} og fikk det ikke til.",
    hitGot: "Du prøvde {asked} og fikk det til {got}.",
    hitCredit: "{amount} trekkes fra den neste regningen din.",
    signInInstead: "Logg inn",
  },
  sv: {
    headline: "Direktsänd tv.\nKom in.",
    login: "E-post eller mobilnummer",
    password: "Lösenord",
    reveal: "Visa",
    conceal: "Dölj",
    signIn: "Logga in",
    signingIn: "Loggar in …",
    signOut: "Logga ut",
    cancel: "Avbryt",
    close: "Stäng",
    tryNow: "Försök nu",
    statusPage: "Statussida",
    language: "Språk",
    appearance: "Utseende",
    dark: "Mörkt",
    light: "Ljust",
    system: "Som enheten",
    settings: "Inställningar",
    signedInAs: "Inloggad som {name}",

    wrong: "Inloggning och lösenord stämmer inte överens.",
    missing: "Fyll i båda fälten.",
    tooMany: "För många misslyckade försök. Vänta {s} s innan du försöker igen.",
    noSubscription: "I det här abonnemanget ingår ingen tv.",
    signedOutByServer: "Logga in för att se vidare.",
    lineTitle: "Många är på väg in",
    lineText: "Du är nummer {place} i kön, ungefär {duration} från dörren. Låt sidan vara öppen, du behåller din plats.",
    busyTitle: "Många är på väg in",
    busyText: "Vi försöker igen åt dig om {s} s. Låt sidan vara öppen, du behöver inte göra något.",
    silentTitle: "Inloggningen har inte fungerat sedan {time}",
    silentText: "Vi försöker igen åt dig om {s} s. Den som redan är inne kan se vidare.",
    tryingAgain: "Försöker nu …",
    openChannels: "Se nu utan att logga in",

    picture: "Tv-bild. Pil upp och ner byter kanal, Enter öppnar programguiden.",
    live: "Direkt",
    guide: "Guide",
    next: "Nästa",
    nextAt: "{time} {title}",
    minutesLeft: "{n} min kvar",
    startsAt: "Börjar {time}",
    watching: "Ser på {channel}. {title}",
    unmute: "Slå på ljudet",
    mute: "Stäng av ljudet",
    pause: "Pausa",
    play: "Spela upp",
    channelUp: "Nästa kanal",
    channelDown: "Föregående kanal",
    fullScreen: "Helskärm",
    guideAge: "Guide från {time}",
    noProgramme: "Inga programuppgifter",
    noChannels: "Inga kanaler ännu",
    noChannelsText: "Kanallistan har inte svarat sedan {time}. Vi försöker igen om {s} s.",

    stalledTitle: "Bilden har stannat",
    stalledText: "Sedan {time}. Vi hämtar tillbaka den.",
    retryText: "Sedan {time}. Vi försöker igen om {s} s.",
    notEntitledTitle: "{channel} ingår inte i ditt abonnemang",
    notEntitledText: "Välj en annan kanal i guiden.",
    expiredTitle: "Rätten att se måste förnyas",
    expiredText: "Tjänsten som förnyar den har inte svarat sedan {time}. Vi försöker igen om {s} s.",
    goneTitle: "{channel} sänder inte nu",
    goneText: "Vi försöker igen om {s} s. Andra kanaler finns i guiden.",
    unplayableTitle: "Den här webbläsaren kan inte visa bilden",
    unplayableText: "Den saknar H.264-video. Prova en annan webbläsare.",
    signInTitle: "Logga in för att se {channel}",
    signInText: "Öppna kanaler kan ses utan.",
    openGuide: "Öppna guiden",
    wasIHit: "Drabbades jag av ett fel?",
    hitAsking: "Letar …",
    notHit: "Nej. Så vitt vi vet fick du det du bad om.",
    hitSilent: "Det kan inte tas fram just nu. Försök igen lite senare.",
    hitOver: "{what}, {from} till {to}.",
    hitNow: "{what}, sedan {from}.",
    hitAsked: "Du försökte {asked} och kom inte fram.",
    hitGot: "Du försökte {asked} och kom fram {got}.",
    hitCredit: "{amount} dras av på din nästa faktura.",
    signInInstead: "Logga in",
  },
};

let spoken = "nb";

// The language of `kept`, else the first of the browser's that is spoken here, else English.
export function chooseLanguage(kept) {
  const wished = [kept, ...(navigator.languages ?? [navigator.language])].filter(Boolean);
  const known = wished.map((tag) => tag.toLowerCase().split("-")[0]).map((tag) => (tag === "no" ? "nb" : tag));
  speak(known.find((tag) => tag in WORDS) ?? "en");
}

export function speak(language) {
  spoken = language;
  document.documentElement.lang = language;
}

export const spokenLanguage = () => spoken;

// The words for `key`, with each {name} replaced from `values`.
export function say(key, values = {}) {
  return WORDS[spoken][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// A time of day on the viewer's own clock; `time` in seconds since 1970 UTC.
export function clockTime(time) {
  return new Intl.DateTimeFormat(spoken, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(time * 1000);
}

// A day and a time of day; `time` in seconds since 1970 UTC.
export function dayTime(time) {
  const how = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return new Intl.DateTimeFormat(spoken, how).format(time * 1000);
}

// An amount of money; `amount` in the currency's smallest unit.
export function money(amount, currency) {
  return new Intl.NumberFormat(spoken, { style: "currency", currency }).format(amount / 100);
}

// A wait as people say it: seconds, from a minute and a half on minutes.
export function duration(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

// Puts words into every element that names them: data-say as its text, data-say-label as its accessible name.
export function sayAll(root) {
  for (const element of root.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  for (const element of root.querySelectorAll("[data-say-label]")) {
    element.setAttribute("aria-label", say(element.dataset.sayLabel));
  }
}
