"use strict";
// A ruler: two points in one plane, and the millimetres between them.
(() => {
  const { viewer, say } = trabecula;
  const button = document.getElementById("rule"), svg = document.getElementById("ruler"), length = document.getElementById("length");
  let on = false, from = null, to = null, plane = -1;

  const shape = (kind, given) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
    for (const [key, value] of Object.entries(given)) made.setAttribute(key, value);
    return svg.appendChild(made);
  };
  const draw = () => {
    svg.replaceChildren();
    if (!from || !to) return;
    const tile = viewer.tiles().find((one) => one.axCorSag === plane);
    const mm = Math.hypot(...from.map((one, i) => one - to[i]));
    length.textContent = say("length", { mm: mm.toFixed(1) });
    length.dataset.mm = mm.toFixed(2);
    if (!tile) return;
    const [a, b] = [viewer.project(tile, from), viewer.project(tile, to)];
    shape("line", { x1: a.x, y1: a.y, x2: b.x, y2: b.y, class: "under" });
    shape("line", { x1: a.x, y1: a.y, x2: b.x, y2: b.y });
    for (const end of [a, b]) shape("circle", { cx: end.x, cy: end.y, r: 3.5 });
    shape("text", { x: (a.x + b.x) / 2 + 8, y: (a.y + b.y) / 2 - 6 }).textContent = `${mm.toFixed(1)} mm`;
  };
  const point = (event) => viewer.placeAt(event.offsetX, event.offsetY);
  const take = (kind, act) => viewer.canvas.addEventListener(kind, (event) => {
    if (!on || viewer.drawing) return;
    event.preventDefault(); event.stopImmediatePropagation();
    act(event);
  }, true);
  let pulling = false;
  take("pointerdown", (event) => {
    const place = point(event);
    if (!place) return;
    viewer.canvas.setPointerCapture(event.pointerId);
    pulling = true; from = to = place.mm; plane = place.tile.axCorSag;
    draw();
  });
  take("pointermove", (event) => {
    const place = point(event);
    if (pulling && place && place.tile.axCorSag === plane) { to = place.mm; draw(); }
  });
  take("pointerup", () => { pulling = false; });
  for (const kind of ["mousedown", "mousemove", "mouseup", "touchstart", "touchmove", "touchend"]) take(kind, () => {});

  button.addEventListener("click", () => {
    on = !on;
    button.setAttribute("aria-pressed", String(on));
    viewer.canvas.classList.toggle("ruling", on);
    if (!on) { from = to = null; length.textContent = ""; delete length.dataset.mm; }
    draw();
  });
  viewer.after.push(draw);
})();
