"use strict";
// Uploads one study for each dropped folder, zip or image file, and keeps the list up to date.
(() => {
  const form = document.getElementById("upload");
  const told = document.getElementById("uploads");
  const WHOLE = /\.(nii(\.gz)?|nrrd|zip)$/i;
  const ENDING = /\.(nii\.gz|nii|nrrd|zip|dcm|dicom|ima)$/i;

  // What was dropped or chosen, as studies: a folder is one, a file that holds a whole study is one, loose slices are one.
  const studiesOf = (groups) => {
    const studies = [];
    for (const files of groups) {
      const slices = files.filter((file) => !WHOLE.test(file.name));
      for (const file of files) if (WHOLE.test(file.name)) studies.push([file]);
      if (slices.length) studies.push(slices);
    }
    return studies;
  };

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

  const line = () => told.appendChild(document.createElement("p"));

  const send = (files, label, shown) => new Promise((done) => {
    const body = new FormData();
    body.append("csrf", form.elements.csrf.value);
    body.append("label", label);
    body.append("language", form.elements.language.value);
    body.append("recipe", form.elements.recipe.value);
    if (form.elements.deidentify.checked) body.append("deidentify", "yes");
    // names of files stay here: they may name a patient
    for (const file of files) body.append("files", file, "f" + (ENDING.exec(file.name)?.[0] ?? ""));
    const words = shown.appendChild(document.createElement("span"));
    const bar = shown.appendChild(document.createElement("progress"));
    bar.max = 1; bar.value = 0; bar.setAttribute("aria-label", "Upload");
    words.textContent = "Uploading …";
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.upload.onprogress = (event) => { if (event.lengthComputable) bar.value = event.loaded / event.total; };
    request.onloadend = () => {
      bar.remove();
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { /* the connection broke */ }
      if (request.status === 201) {
        words.textContent = "Uploaded: ";
        const link = shown.appendChild(document.createElement("a"));
        link.href = answer.url; link.textContent = answer.label;
        done(answer.url);
      } else {
        shown.classList.add("wrong");
        words.textContent = (answer.message ?? "The upload broke off. Check the connection and send it again.")
          + (answer.code ? ` [${answer.code}]` : "");
        done(null);
      }
    };
    request.send(body);
  });

  const upload = async (groups) => {
    const studies = studiesOf(groups.filter((files) => files.length));
    if (!studies.length) return;
    told.replaceChildren();
    const label = form.elements.label.value.trim();
    const lines = studies.map(line);
    const urls = [];
    for (const [i, files] of studies.entries()) {
      urls.push(await send(files, label && studies.length > 1 ? `${label} ${i + 1}` : label, lines[i]));
    }
    form.elements.label.value = "";
    if (urls.length === 1 && urls[0]) location.assign(urls[0]);
    else refresh();
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["folder", "files"]) {
    const input = document.getElementById(id);
    input.addEventListener("change", () => { upload([[...input.files]]); input.value = ""; });
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
    upload(groups);
  });

  // The list: rows under way are told their progress; when a study comes or ends, the list is fetched anew.
  const list = () => document.getElementById("list");
  const refresh = async () => {
    if (list().dataset.searched) return;
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!list().contains(document.activeElement)) list().replaceWith(page.getElementById("list"));
    document.querySelector(".count").textContent = page.querySelector(".count").textContent;
  };
  const look = async () => {
    let wait = 3000;
    try {
      const { revision, active } = await (await fetch("/queue", { headers: { Accept: "application/json" } })).json();
      if (Object.keys(active).length) wait = 800;
      if (revision !== list().dataset.revision) await refresh();
      for (const [id, now] of Object.entries(active)) {
        const row = document.querySelector(`tr[data-study="${CSS.escape(id)}"]`);
        if (!row) continue;
        row.querySelector(".state-words").textContent = now.words;
        const bar = row.querySelector("progress");
        if (bar) bar.value = now.share;
      }
    } catch { wait = 5000; }
    setTimeout(look, document.hidden ? 5000 : wait);
  };
  look();
  document.documentElement.dataset.ready = "yes";
})();
