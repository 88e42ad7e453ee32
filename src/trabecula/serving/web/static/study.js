"use strict";
// The page around the viewer: corrections that lose nothing, files that are being written, versions of others.
(() => {
  const { viewer, send, tell } = trabecula;
  const form = document.getElementById("correction"), told = document.getElementById("correct-told");
  if (form) {
    // Choices outlive an error, a login that ended and a page that is loaded anew.
    const key = `correction ${location.pathname} ${form.elements.version.value}`;
    const fields = () => Object.fromEntries([...new FormData(form)].filter(([name]) => name !== "csrf"));
    const kept = JSON.parse(sessionStorage.getItem(key) ?? "null");
    if (kept && !told.textContent.trim()) {
      for (const input of form.elements) {
        if (!input.name || ["csrf", "version", "seen", "anyway"].includes(input.name)) continue;
        if (input.type === "checkbox") input.checked = input.name in kept;
        else if (input.name in kept) input.value = kept[input.name];
      }
      form.closest("details").open = true;
    }
    form.addEventListener("change", () => { try { sessionStorage.setItem(key, JSON.stringify(fields())); } catch { /* full */ } });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = form.querySelector("button");
      button.disabled = true;
      const answer = await send(form.action, fields());
      button.disabled = false;
      if (answer.ok) { sessionStorage.removeItem(key); return location.assign(answer.url); }
      tell(told, answer);
      if (answer.code === "corrected-meanwhile") document.getElementById("anyway").hidden = false;
      told.scrollIntoView({ block: "nearest" });
    });
  }

  // Files of a correction are written by the worker; when they are there they are shown, and the viewer is left alone. A
  // region that was measured meanwhile changes the whole page: it is loaded anew when nobody is at work.
  const files = document.getElementById("files");
  const showFiles = async () => {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("files");
    trabecula.localise(fresh);
    files.replaceWith(fresh);
  };
  const waitForFiles = async () => {
    try {
      const now = await (await fetch(files.dataset.state, { headers: { Accept: "application/json" } })).json();
      const atWork = viewer.drawing || (document.getElementById("correct")?.open && form && sessionStorage.length);
      if (now.files !== "pending" && !files.dataset.measuring) return await showFiles();
      if (now.files !== "pending" && !atWork) return location.reload();
    } catch { /* asked again below */ }
    setTimeout(waitForFiles, 700);
  };
  if (files.dataset.files === "pending") setTimeout(waitForFiles, 500);

  document.documentElement.dataset.ready = "yes";
  viewer.start();
})();
