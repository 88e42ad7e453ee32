"use strict";
// What every page does: words for the scripts, local time, the language, and requests after which nothing is lost.
const trabecula = (() => {
  const words = JSON.parse(document.body.dataset.words);
  const language = document.documentElement.lang;
  const say = (key, facts = {}) => words[key].replace(/\{(\w+)(?::[^}]*)?\}/g, (_, name) => facts[name]);

  const localise = (root) => {
    for (const time of root.querySelectorAll("time[datetime]:not([title])")) {
      time.title = time.textContent.trim();
      time.textContent = new Date(time.dateTime).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
    }
  };
  localise(document);

  const speak = document.getElementById("speak");
  speak.elements.language.addEventListener("change", () => speak.requestSubmit());

  // After another login every form of the page needs the new login's secret.
  const renew = async () => {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return false;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector('input[name="csrf"]')?.value;
    for (const input of document.querySelectorAll('input[name="csrf"]')) input.value = fresh;
    return Boolean(fresh);
  };

  // Sends fields; says what came of it. What was typed stays where it is, whatever the answer.
  const send = async (url, fields) => {
    for (const last of [false, true]) {
      const csrf = document.querySelector('input[name="csrf"]').value;
      let answer;
      try {
        const body = new URLSearchParams({ ...fields, csrf });
        answer = await fetch(url, { method: "POST", body, headers: { Accept: "application/json" } });
      } catch { return { ok: false, code: "", message: say("no-answer") }; }
      const told = await answer.json().catch(() => ({}));
      if (answer.ok) return { ...told, ok: true };
      if (told.code === "form-expired" && !last && await renew()) continue;
      if (answer.status === 401) return { ok: false, code: "login-needed", message: say("session-ended") };
      return { ok: false, code: told.code ?? "", message: told.message ?? say("no-answer") };
    }
  };

  // A sentence with its code, and a way to log in beside the page where that is what is missing.
  const tell = (place, answer) => {
    place.replaceChildren(answer.message, " ");
    if (answer.code === "login-needed") {
      const link = document.createElement("a");
      link.href = "/login"; link.target = "_blank"; link.rel = "noopener"; link.textContent = say("log-in-beside");
      place.append(link);
    } else if (answer.code) {
      const code = document.createElement("code");
      code.textContent = answer.code;
      place.append(code);
    }
  };

  // What the viewer shows first comes while its program, two megabytes, is still being read.
  const early = new Map(), viewer = document.getElementById("viewer");
  if (viewer) for (const url of [`${viewer.dataset.study}/view/spine.nii`, viewer.dataset.labels]) {
    const coming = fetch(url);
    coming.catch(() => {});  // told by the viewer
    early.set(url, coming);
  }
  const get = (url) => { const coming = early.get(url); early.delete(url); return coming ?? fetch(url); };

  return { say, localise, send, tell, get, language };
})();
