"use strict";
// Uploads studies after a look at what they are, and keeps the list up to date.
(() => {
  const { say, localise, preview } = trabecula;
  const form = document.getElementById("upload"), told = document.getElementById("uploads"), shown = document.getElementById("preview");
  const ENDING = /\.(nii\.gz|nii|nrrd|zip|dcm|dicom|ima)$/i;

  const make = (kind, text, given = {}) => Object.assign(document.createElement(kind), { textContent: text }, given);

  const filesIn = async (entry) => {
    if (entry.isFile) return [await new Promise((done, fail) => entry.file(done, fail))];
    const reader = entry.createReader();
    const found = [];
    for (;;) {
      const some = await new Promise((done, fail) => reader.readEntries(done, fail));
      if (!some.length) return found;
      for (const inner of some) found.push(...await filesIn(inner));
    }
  };

  const send = (files, label, line) => new Promise((done) => {
    const body = new FormData();
    body.append("csrf", form.elements.csrf.value);
    body.append("label", label);
    body.append("language", form.elements.language.value);
    body.append("recipe", form.elements.recipe.value);
    if (form.elements.deidentify.checked) body.append("deidentify", "yes");
    // names of files stay here: they may name a patient
    for (const file of files) body.append("files", file, "f" + (ENDING.exec(file.name)?.[0] ?? ""));
    const words = line.appendChild(make("span", say("uploading")));
    const bar = line.appendChild(make("progress", "", { max: 1, value: 0 }));
    bar.setAttribute("aria-label", say("upload"));
    const stop = line.appendChild(make("button", say("stop"), { type: "button", className: "quiet" }));
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.upload.onprogress = (event) => { if (event.lengthComputable) bar.value = event.loaded / event.total; };
    stop.addEventListener("click", () => request.abort());
    request.onloadend = () => {
      bar.remove(); stop.remove();
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* the connection broke */ }
      if (request.status === 201) {
        words.textContent = `${say("uploaded")} `;
        line.appendChild(make("a", answer.label, { href: answer.url }));
        return done(answer.url);
      }
      line.classList.add("wrong");
      words.textContent = (answer.message ?? say("upload-broke")) + (answer.code ? ` [${answer.code}]` : "");
      const again = line.appendChild(make("button", say("again"), { type: "button", className: "quiet" }));
      again.addEventListener("click", () => { line.replaceChildren(); line.classList.remove("wrong"); send(files, label, line).then(refresh); });
      done(null);
    };
    request.send(body);
  });

  const upload = async (chosen) => {
    told.replaceChildren(); shown.hidden = true;
    const label = form.elements.label.value.trim();
    const lines = chosen.map(() => told.appendChild(document.createElement("p")));
    const urls = [];
    for (const [i, files] of chosen.entries()) {
      urls.push(await send(files, label && chosen.length > 1 ? `${label} ${i + 1}` : label, lines[i]));
    }
    form.elements.label.value = "";
    if (urls.length === 1 && urls[0]) location.assign(urls[0]);
    else refresh();
  };

  // "3 studies": each with its series, one of which may be sent alone.
  const describe = (one) => [one.number && say("series", { number: one.number }), one.modality, one.words,
    one.kernel, one.thickness && `${Number(one.thickness)} mm`, say("images", { number: one.files.length })].filter(Boolean).join(" · ");
  const show = (studies) => {
    const list = document.createElement("ol");
    const picks = studies.map((study, i) => {
      const line = list.appendChild(document.createElement("li"));
      const name = line.appendChild(make("label", "", { className: "tick" }));
      const take = name.appendChild(make("input", "", { type: "checkbox", checked: true }));
      name.append(` ${say("study-of", { number: i + 1 })}${study.date ? ` · ${study.date.replace(/^(\d{4})(\d\d)(\d\d)$/, "$1-$2-$3")}` : ""}`);
      const select = line.appendChild(document.createElement("select"));
      select.setAttribute("aria-label", say("which-series", { number: i + 1 }));
      if (study.series.length > 1) select.append(new Option(say("program-chooses"), ""));
      study.series.forEach((one, at) => select.append(new Option(study.whole ?? describe(one), study.series.length > 1 ? String(at) : "")));
      return { take, select, study };
    });
    const go = make("button", "", { type: "button" }), drop = make("button", say("discard"), { type: "button", className: "secondary" });
    const count = () => {
      const number = picks.filter((pick) => pick.take.checked).length;
      go.textContent = say("upload-chosen", { number }); go.disabled = !number;
    };
    list.addEventListener("change", count);
    go.addEventListener("click", () => upload(picks.filter((pick) => pick.take.checked)
      .map(({ select, study }) => preview.filesOf(study, select.value === "" ? undefined : Number(select.value)))));
    drop.addEventListener("click", () => { shown.hidden = true; });
    const buttons = make("p", "", { className: "choosers" });
    buttons.append(go, drop);
    shown.replaceChildren(make("h2", say("found", { number: studies.length })), list, buttons);
    shown.hidden = false;
    count();
    go.focus();
  };

  const look = async (groups) => {
    groups = groups.filter((files) => files.length);
    if (!groups.length) return;
    told.replaceChildren(make("p", say("looking")));
    const studies = await preview.studiesIn(groups, (number) => told.replaceChildren(make("p", say("looked-at", { number }))));
    told.replaceChildren();
    if (preview.worthShowing(studies)) show(studies);
    else if (studies.length) upload(studies.map((study) => preview.filesOf(study)));
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["folder", "files"]) {
    const input = document.getElementById(id);
    input.addEventListener("change", () => { look([[...input.files]]); input.value = ""; });
  }
  for (const kind of ["dragenter", "dragover"]) form.addEventListener(kind, (event) => {
    event.preventDefault(); form.classList.add("over");
  });
  form.addEventListener("dragleave", (event) => { if (!form.contains(event.relatedTarget)) form.classList.remove("over"); });
  form.addEventListener("drop", async (event) => {
    event.preventDefault();
    form.classList.remove("over");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const folders = entries.filter((entry) => entry.isDirectory), loose = entries.filter((entry) => entry.isFile);
    const groups = await Promise.all(folders.map(filesIn));
    groups.push((await Promise.all(loose.map(filesIn))).flat());
    look(groups);
  });

  // The search is an address: sort and filters stay, days are the reader's own.
  const seek = document.getElementById("seek");
  seek.addEventListener("submit", () => {
    const dated = seek.elements.since.value || seek.elements.until.value;
    seek.elements.offset.value = dated ? new Date().getTimezoneOffset() : "";
    for (const input of seek.elements) if (input.name && !input.value) input.disabled = true;
    setTimeout(() => { for (const input of seek.elements) input.disabled = false; });
  });
  seek.addEventListener("change", ({ target }) => {
    const typing = target.type === "date" && target.value && target.value < "1900"; // the first digits of a year
    if (typing || !target.matches("select, [type=date]")) return;
    try { sessionStorage.setItem("sought", target.id); } catch { /* full */ }
    seek.requestSubmit();
  });
  try { // who goes by the keyboard goes on where they were
    document.getElementById(sessionStorage.getItem("sought"))?.focus();
    sessionStorage.removeItem("sought");
  } catch { /* not allowed */ }

  // The list: rows under way are told their progress; when a study comes or ends, the list is fetched anew.
  const list = () => document.getElementById("list");
  const picked = () => [...list().querySelectorAll("tbody .pick input:checked")];
  document.addEventListener("change", (event) => {
    if (!event.target.matches(".pick input, #all")) return;
    if (event.target.id === "all") for (const input of list().querySelectorAll("tbody .pick input")) input.checked = event.target.checked;
    const number = picked().length;
    document.getElementById("chosen").textContent = number ? say("chosen", { number }) : "";
    document.getElementById("bulk").classList.toggle("on", number > 0);
  });
  const refresh = async () => {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (list().contains(document.activeElement) || picked().length) return;
    list().replaceWith(page.getElementById("list"));
    localise(list());
    document.querySelector(".count").textContent = page.querySelector(".count").textContent;
  };
  const watch = async () => {
    let wait = 3000;
    try {
      const { revision, active } = await (await fetch("/queue", { headers: { Accept: "application/json" } })).json();
      if (Object.keys(active).length) wait = 800;
      if (revision !== list().dataset.revision) await refresh();
      for (const [id, now] of Object.entries(active)) {
        const row = document.querySelector(`tr[data-study="${CSS.escape(id)}"]`);
        if (!row) continue;
        row.querySelector(".state-words").textContent = now.words;
        const bar = row.querySelector("progress"), left = row.querySelector(".left");
        if (bar) bar.value = now.share;
        if (left) left.textContent = now.left;
      }
    } catch { wait = 5000; }
    setTimeout(watch, document.hidden ? 5000 : wait);
  };
  watch();
  document.documentElement.dataset.ready = "yes";
})();
