// A new password, for whoever has none or has forgotten it: by a code on the mobile, or by customer service's link.
//
//   closed --"no password"--> ask --code on its way--> code --set--> closed, and signed in
//   closed ----a link-------> link ------------------------set--> closed, and the form says so

import { $, show, write } from "./element.js";
import { rove } from "./focus.js";
import { say, spokenLanguage } from "./words.js";

const PASSWORD_LENGTH_MIN = 10; // signin refuses a shorter one
const FIELDS = ["new-login", "code", "new-password"];
const FAULTS = {
  "no-codes": "noCodes",
  "too-many-tries": "tooManyTries",
  overloaded: "passwordBusy",
  "wrong-code": "wrongCode",
  "bad-link": "badLink",
};

// `onSet(login, password)` when a code did it, `onSet(null, null)` when a link did; `onClose()` when it is given up.
export function makeNewPassword({ roles, onSet, onClose }) {
  const form = $("new-password-form");
  let step = null; // `ask`, `code` or `link`; null: closed
  let link = null;
  let asking = false;
  let sayFault = () => {}; // again, when the language changes

  function become(next, focused) {
    step = next;
    fault(null);
    render();
    rove($("sign-in"));
    focused?.focus();
  }

  function open(login) {
    $("new-login").value = login;
    $("code").value = $("new-password").value = "";
    conceal();
    become("ask", $("new-login"));
  }

  function close() {
    link = null;
    $("code").value = $("new-password").value = "";
    become(null);
    onClose();
  }

  function conceal() {
    $("new-password").type = "password";
    $("new-reveal").setAttribute("aria-pressed", "false");
    write($("new-reveal"), say("reveal"));
  }

  function fault(key, field = null, values = {}) {
    for (const input of FIELDS.map($)) {
      if (key && input === field) {
        input.setAttribute("aria-invalid", "true");
        input.setAttribute("aria-describedby", "new-error");
      } else {
        input.removeAttribute("aria-invalid");
        input.removeAttribute("aria-describedby");
      }
    }
    sayFault = () => write($("new-error"), key ? say(key, values) : "");
    sayFault();
    show($("new-error"), Boolean(key));
    field?.focus();
  }

  // Asks signin for something, once at a time; says what was wrong, and resolves to whether it was done.
  async function tried(request, field) {
    asking = true;
    fault(null);
    render();
    try {
      await request();
      return true;
    } catch (error) {
      fault(FAULTS[error.reason] ?? "passwordSilent", field, { s: Math.ceil(error.retryAfter ?? 0) });
      return false;
    } finally {
      asking = false;
      render();
    }
  }

  async function askForCode() {
    const login = $("new-login").value.trim();
    if (!login) fault("missingLogin", $("new-login"));
    else if (await tried(() => roles.askForCode(login, spokenLanguage()), $("new-login"))) {
      $("code").value = "";
      become("code", $("code"));
      write($("announcer"), $("new-text").textContent);
    }
  }

  async function setPassword() {
    const [login, code, password] = FIELDS.map((each) => $(each).value);
    if (step === "code" && !code.trim()) fault("missingCode", $("code"));
    else if ([...password].length < PASSWORD_LENGTH_MIN) {
      fault("shortPassword", $("new-password"), { n: PASSWORD_LENGTH_MIN });
    } else {
      const proof = step === "link" ? { link } : { login: login.trim(), code };
      const done = await tried(() => roles.setPassword(proof, password), step === "link" ? null : $("code"));
      if (!done) return;
      const byCode = step === "code";
      close();
      onSet(byCode ? login.trim() : null, byCode ? password : null);
    }
  }

  function render() {
    show(form, step !== null);
    show($("new-login-field"), step === "ask");
    show($("code-field"), step === "code");
    show($("new-password-field"), step === "code" || step === "link");
    show($("code-again"), step === "code");
    if (step === null) return;
    write($("new-text"), say(`${step}Text`, { login: $("new-login").value.trim() }));
    write($("new-button"), say(asking ? "waitPlease" : step === "ask" ? "sendCode" : "setPassword"));
    $("new-button").disabled = $("code-again").disabled = asking;
    sayFault();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (asking) return;
    if (step === "ask") askForCode();
    else setPassword();
  });
  $("code-again").addEventListener("click", askForCode);
  $("new-back").addEventListener("click", close);
  $("new-reveal").addEventListener("click", () => {
    const shown = $("new-password").type === "text";
    $("new-password").type = shown ? "password" : "text";
    $("new-reveal").setAttribute("aria-pressed", String(!shown));
    write($("new-reveal"), say(shown ? "reveal" : "conceal"));
  });

  return {
    get opened() {
      return step !== null;
    },
    open,
    openLink(given) {
      link = given;
      conceal();
      become("link", $("new-password"));
    },
    close,
    render,
  };
}
