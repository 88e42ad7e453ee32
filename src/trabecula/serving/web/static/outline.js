"use strict";
// A region outlined anew by hand: a round brush in millimetres, undo, and what was drawn survives whatever the server says.
(() => {
  const { viewer, say, send, tell } = trabecula;
  const { nv, box, canvas } = viewer;
  const start = document.getElementById("outline"), bar = document.getElementById("outlining");
  if (!start) return;
  const title = document.getElementById("outlined"), told = document.getElementById("outline-told");
  const size = document.getElementById("pen-size"), by = document.getElementById("outline-by");
  const ROOM_MM = 15;  // beyond the region as it is
  const UNDOS = 30;
  let mark = null, low = null, extent = null, inside = null, past = [], pen = "draw", last = null;
  const key = () => `outline ${box.dataset.study} ${box.dataset.version} ${mark.level}`;

  const dims = () => nv.volumes[0].dimsRAS.slice(1, 4);
  const spacing = () => nv.volumes[0].pixDimsRAS.slice(1, 4);
  const middle = (vox) => [...nv.frac2mm(vox.map((one, i) => (one + 0.5) / dims()[i]))].slice(0, 3);
  const voxel = (mm) => [...nv.mm2frac(mm)].map((share, i) => share * dims()[i] - 0.5);
  const at = (x, y, z) => (x - low[0]) + extent[0] * ((y - low[1]) + extent[1] * (z - low[2]));

  const each = (from, to, act) => {
    for (let z = from[2]; z < to[2]; z += 1) for (let y = from[1]; y < to[1]; y += 1) for (let x = from[0]; x < to[0]; x += 1) act(x, y, z);
  };

  // The region as it is, on the grid of what is shown.
  const regionOf = () => {
    const labels = nv.volumes[1], found = [[Infinity, Infinity, Infinity], [-Infinity, -Infinity, -Infinity]];
    const reach = mark.half.map((half, i) => (half + ROOM_MM) / spacing()[i]), centre = voxel(mark.middle);
    const from = centre.map((one, i) => Math.max(0, Math.floor(one - reach[i])));
    const to = centre.map((one, i) => Math.min(dims()[i], Math.ceil(one + reach[i]) + 1));
    low = from; extent = to.map((one, i) => one - from[i]);
    inside = new Uint8Array(extent[0] * extent[1] * extent[2]);
    each(from, to, (x, y, z) => {
      if (viewer.valueAt(labels, middle([x, y, z])) !== mark.label) return;
      inside[at(x, y, z)] = 1;
      [x, y, z].forEach((one, i) => { found[0][i] = Math.min(found[0][i], one); found[1][i] = Math.max(found[1][i], one); });
    });
    return found;
  };

  const show = () => {
    const [x, y] = dims(), bitmap = nv.drawBitmap;
    each(low, low.map((one, i) => one + extent[i]), (a, b, c) => { bitmap[a + x * (b + y * c)] = inside[at(a, b, c)]; });
    nv.refreshDrawing(true);
    const volume = inside.reduce((sum, one) => sum + one, 0) * spacing().reduce((product, one) => product * one, 1);
    bar.dataset.mm3 = volume.toFixed(0);
    title.textContent = say("outlining", { level: mark.short, cm3: (volume / 1000).toFixed(1) });
  };

  const letters = (bytes) => {
    let text = "";
    for (const one of bytes) text += String.fromCharCode(one);
    return text;
  };
  const packed = async () => {
    const bits = new Uint8Array(Math.ceil(inside.length / 8));
    const flip = nv.volumes[0].permRAS.map((axis) => axis < 0);  // the file's own order of voxels
    let i = 0;
    for (let z = 0; z < extent[2]; z += 1) for (let y = 0; y < extent[1]; y += 1) for (let x = 0; x < extent[0]; x += 1) {
      const place = [x, y, z].map((one, axis) => (flip[axis] ? extent[axis] - 1 - one : one));
      if (inside[place[0] + extent[0] * (place[1] + extent[1] * place[2])]) bits[i >> 3] |= 128 >> (i & 7);
      i += 1;
    }
    const stream = new Blob([bits]).stream().pipeThrough(new CompressionStream("gzip"));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    const first = low.map((one, axis) => (flip[axis] ? dims()[axis] - one - extent[axis] : one));
    return { inside: btoa(letters(bytes)), low: first.join(","), size: extent.join(",") };
  };

  // Whole or not at all: what is cut, or older than what was drawn, would come back as if it were the outline.
  const remember = () => {
    sessionStorage.removeItem(key());
    try { sessionStorage.setItem(key(), JSON.stringify({ low, extent, inside: btoa(letters(runs())) })); } catch { /* full */ }
  };
  // Lengths of what is outside and inside in turn, each as bytes of seven bits.
  const runs = () => {
    const found = [];
    let value = 0, count = 0;
    const push = () => { let rest = count; while (rest > 127) { found.push(128 | (rest & 127)); rest >>= 7; } found.push(rest); };
    for (const one of inside) { if (one !== value) { push(); value = one; count = 0; } count += 1; }
    push();
    return found;
  };
  const recall = () => {
    const kept = JSON.parse(sessionStorage.getItem(key()) ?? "null");
    if (!kept || String(kept.low) !== String(low) || String(kept.extent) !== String(extent)) return false;
    const bytes = [...atob(kept.inside)].map((letter) => letter.charCodeAt(0));
    let i = 0, value = 0, count = 0, shift = 0;
    const found = new Uint8Array(inside.length);
    for (const one of bytes) {
      count |= (one & 127) << shift; shift += 7;
      if (one & 128) continue;
      if (value) found.fill(1, i, i + count);
      i += count; value = 1 - value; count = 0; shift = 0;
    }
    inside = found;
    return true;
  };

  const begin = () => {
    if (viewer.source.value !== "spine.nii") { tell(told, { message: say("outline-close-up"), code: "" }); bar.hidden = false; return; }
    mark = viewer.current();
    if (!mark) return;
    viewer.drawing = true;
    start.setAttribute("aria-pressed", "true");
    canvas.classList.add("drawing");
    bar.hidden = false; told.replaceChildren(); past = [];
    regionOf();
    if (recall()) tell(told, { message: say("outline-restored"), code: "" });
    const [red, green, blue] = viewer.rgb(mark.colour);
    nv.createEmptyDrawing();
    nv.setDrawColormap({ R: [0, red], G: [0, green], B: [0, blue], A: [0, 255], I: [0, 1], labels: ["", ""] });
    nv.drawOpacity = 0.55;
    viewer.hide(mark.level);
    box.dataset.outlining = mark.level;
    show();
  };
  const end = () => {
    if (mark && viewer.drawing) { nv.closeDrawing(); viewer.hide(null); }
    viewer.drawing = false; mark = null; inside = null;
    start.setAttribute("aria-pressed", "false");
    canvas.classList.remove("drawing");
    bar.hidden = true;
    delete box.dataset.outlining;
    nv.drawScene();
  };

  // A disc in the plane that was touched, and a line of discs where the pointer ran.
  const dab = (mm, plane) => {
    const radius = Number(size.value) / 2, centre = voxel(mm), deep = [2, 1, 0][plane];
    const reach = spacing().map((one, i) => (i === deep ? 0 : radius / one));
    const from = centre.map((one, i) => Math.max(low[i], Math.round(one - reach[i])));
    const to = centre.map((one, i) => Math.min(low[i] + extent[i], Math.round(one + reach[i]) + 1));
    each(from, to, (x, y, z) => {
      const apart = [x, y, z].map((one, i) => (i === deep ? 0 : (one - centre[i]) * spacing()[i]));
      if (Math.hypot(...apart) <= Math.max(radius, 0.5 * Math.min(...spacing()))) inside[at(x, y, z)] = pen === "draw" ? 1 : 0;
    });
  };
  const stroke = (place) => {
    const steps = last ? Math.max(1, Math.ceil(Math.hypot(...place.mm.map((one, i) => one - last[i])) / (Number(size.value) / 3))) : 1;
    for (let i = 1; i <= steps; i += 1) dab(last ? last.map((one, axis) => one + (place.mm[axis] - one) * i / steps) : place.mm, place.tile.axCorSag);
    last = place.mm;
    show();
  };
  const take = (kind, act) => canvas.addEventListener(kind, (event) => {
    if (!viewer.drawing || event.button === 1 || event.button === 2) return;
    event.preventDefault(); event.stopImmediatePropagation();
    act(event);
  }, true);
  let down = false;
  take("pointerdown", (event) => {
    const place = viewer.placeAt(event.offsetX, event.offsetY);
    if (!place) return;
    canvas.setPointerCapture(event.pointerId);
    past.push(inside.slice());
    if (past.length > UNDOS) past.shift();
    down = true; last = null;
    nv.scene.crosshairPos = nv.mm2frac(place.mm);  // the other planes follow
    stroke(place);
  });
  take("pointermove", (event) => {
    const place = down && viewer.placeAt(event.offsetX, event.offsetY);
    if (place) stroke(place);
  });
  take("pointerup", () => { if (down) remember(); down = false; });
  for (const kind of ["mousedown", "mousemove", "mouseup", "touchstart", "touchmove", "touchend"]) take(kind, () => {});

  const undo = () => { if (past.length) { inside = past.pop(); show(); remember(); } };
  start.addEventListener("click", () => (viewer.drawing ? end() : begin()));
  document.getElementById("undo").addEventListener("click", undo);
  document.getElementById("drop-outline").addEventListener("click", () => { if (mark) sessionStorage.removeItem(key()); end(); });
  for (const button of document.querySelectorAll("[data-pen]")) button.addEventListener("click", () => {
    pen = button.dataset.pen;
    for (const one of document.querySelectorAll("[data-pen]")) one.setAttribute("aria-pressed", String(one === button));
  });
  window.addEventListener("keydown", (event) => {
    if (viewer.drawing && (event.ctrlKey || event.metaKey) && event.key === "z") { event.preventDefault(); undo(); }
  });
  document.getElementById("keep-outline").addEventListener("click", async () => {
    if (!mark) return;
    told.replaceChildren(say("keeping"));
    const fields = { ...await packed(), level: mark.level, version: box.dataset.version, seen: box.dataset.latest, by: by?.value ?? "" };
    const answer = await send(`${box.dataset.study}/regions${location.search}`, fields);
    if (!answer.ok) return tell(told, answer);
    sessionStorage.removeItem(key());
    location.assign(answer.url);
  });
})();
