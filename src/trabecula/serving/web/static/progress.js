"use strict";
// Tells how far a study is, and shows the result as soon as it is there.
(() => {
  const box = document.getElementById("progress"), left = document.getElementById("left");
  const words = document.getElementById("words"), bar = document.getElementById("bar");
  const look = async () => {
    try {
      const answer = await fetch(box.dataset.state, { headers: { Accept: "application/json" } });
      if (answer.status === 404 || answer.status === 401) return location.reload();
      const now = await answer.json();
      if (now.state !== "queued" && now.state !== "running") return location.reload();
      if (words.textContent !== now.words) words.textContent = now.words;
      bar.value = now.share;
      left.textContent = now.left;
      for (const stage of now.stages) document.querySelector(`[data-stage="${stage.key}"]`).className = stage.standing;
    } catch { words.textContent = trabecula.say("trying-again"); }
    setTimeout(look, 400);
  };
  look();
})();
