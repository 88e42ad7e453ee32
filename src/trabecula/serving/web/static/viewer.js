"use strict";
// The viewer of a study: NiiVue draws the CT and the regions; names, places and rows lead to one another.
trabecula.viewer = (() => {
  const { say } = trabecula;
  const BONE_IN_3D = [140, 900];  // what is below the window is transparent there
  const WINDOWS = { bone: [-450, 1050], soft: [-160, 240], lung: [-1350, 150] };
  const READOUT_PX = 118, CURVE_MM = 15;
  const box = document.getElementById("viewer"), canvas = document.getElementById("gl");
  const status = document.getElementById("viewer-status"), readout = document.getElementById("readout");
  const where = document.getElementById("where"), hu = document.getElementById("hu"), position = document.getElementById("position");
  const opacity = document.getElementById("opacity"), source = document.getElementById("source");
  const layer = document.getElementById("marks");
  const rows = [...document.querySelectorAll("#vertebrae tr[data-level]")];
  const marks = JSON.parse(box.dataset.marks);
  const measured = marks.filter((mark) => mark.measured);
  let view = "multi", window_ = "bone", at = -1, lastOpacity = 0.45, hidden = null, quiet = false;
  // NiiVue draws after every setting, which takes software a good part of a second: what belongs together is drawn once.
  const together = (act) => { const before = quiet; quiet = true; try { act(); } finally { quiet = before; } };

  const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const colours = () => {
    const map = { R: [0], G: [0], B: [0], A: [0], I: [0], labels: [""] };
    for (const mark of measured) {
      const [red, green, blue] = rgb(mark.colour);
      map.I.push(mark.label); map.R.push(red); map.G.push(green); map.B.push(blue);
      map.A.push(mark.level === hidden ? 0 : 255); map.labels.push("");
    }
    return map;
  };

  const press = (attribute, value) => {
    for (const button of document.querySelectorAll(`[data-${attribute}]`)) {
      button.setAttribute("aria-pressed", String(button.dataset[attribute] === value));
    }
  };

  const nv = new niivue.Niivue({
    backColor: [0.043, 0.059, 0.067, 1], crosshairColor: [0.91, 0.72, 0.45, 0.9], crosshairWidth: 1,
    show3Dcrosshair: true, isAntiAlias: false, isColorbar: false, logLevel: "error", loadingText: "",
    multiplanarShowRender: niivue.SHOW_RENDER.NEVER, isRadiologicalConvention: true, dragAndDropEnabled: false,
    sagittalNoseLeft: true, scrollRequiresFocus: true, fontMinPx: 13, clipPlaneHotKey: "", viewModeHotKey: "", cycleClipPlaneHotKey: "",
  });

  const setWindow = (name) => {
    window_ = name; press("window", name);
    if (!nv.volumes.length) return;
    const [low, high] = view === "render" && name === "bone" ? BONE_IN_3D : WINDOWS[name];
    if (nv.volumes[0].cal_min === low && nv.volumes[0].cal_max === high) return;
    [nv.volumes[0].cal_min, nv.volumes[0].cal_max] = [low, high];
    nv.updateGLVolume();
  };

  // Where the three planes stand: two tall ones, the axial one beside or below them, and what is read off in the rest.
  const layout = () => {
    const width = canvas.clientWidth, height = canvas.clientHeight;
    const [, x, y, z] = nv.volumes[0].dimsRAS, [, a, b, c] = nv.volumes[0].pixDimsRAS;
    const wide = x * a, deep = y * b, tall = z * c;
    const planes = (scale, beside) => {
      const [across, front, down] = [wide * scale, deep * scale, tall * scale];
      const room = beside ? [across + front, 0, width - across - front, height - READOUT_PX] : [0, down, width * 0.62, height - down];
      const axial = Math.min(room[2] / wide, room[3] / deep);
      return { across, front, down, room, axial };
    };
    // As high as the planes need at this width, so that nothing beside them stays empty.
    const beside = width > 620, most = 0.66 * width / (wide + deep);
    const needed = Math.round(Math.min(Math.max(tall * most, 320), 0.74 * innerHeight));
    const fit = beside ? `${Math.max(needed, 320)}px` : "";
    if (canvas.parentElement.style.height !== fit) { canvas.parentElement.style.height = fit; return; }
    const scale = beside ? Math.min(height / tall, 0.66 * width / (wide + deep)) : Math.min(width / (wide + deep), 0.6 * height / tall);
    const { across, front, down, room, axial } = planes(scale, beside);
    const shares = ([left, top, w, h]) => {  // a pixel apart: tiles may not overlap by a rounding
      const [x0, y0] = [Math.ceil(left), Math.ceil(top)];
      return [x0 / width, y0 / height, (Math.min(Math.floor(left + w), width) - x0 - 1) / width, (Math.min(Math.floor(top + h), height) - y0 - 1) / height];
    };
    const used = [room[0], room[1], beside ? room[2] : Math.min(room[2], axial * wide), beside ? Math.min(room[3], axial * deep) : room[3]];
    nv.setCustomLayout([
      { sliceType: 1, position: shares([0, 0, across, beside ? height : down]) },
      { sliceType: 2, position: shares([across, 0, beside ? front : width - across, beside ? height : down]) },
      { sliceType: 0, position: shares(used) },
    ]);
    const rest = beside ? [room[0], used[3], width - room[0], height - used[3]] : [used[2], down, width - used[2], height - down];
    Object.assign(readout.style, { left: `${rest[0]}px`, top: `${rest[1]}px`, width: `${rest[2]}px`, height: `${rest[3]}px` });
    readout.classList.remove("over");
  };

  const setView = (name) => {
    view = name; press("view", name);
    const types = { multi: nv.sliceTypeMultiplanar, axial: nv.sliceTypeAxial, coronal: nv.sliceTypeCoronal,
      sagittal: nv.sliceTypeSagittal, render: nv.sliceTypeRender };
    setWindow(window_);
    if (name === "multi") together(() => { layout(); layout(); fit(); });
    else {
      nv.clearCustomLayout();
      canvas.parentElement.style.height = "";
      readout.removeAttribute("style"); readout.classList.add("over");
    }
    nv.setSliceType(types[name]);
  };

  const setOpacity = (value) => {
    opacity.value = value;
    if (value > 0) lastOpacity = value;
    if (nv.volumes.length > 1) nv.setOpacity(1, value);
  };

  // Between places in the patient (RAS mm) and points of the canvas (CSS px).
  const ratio = () => canvas.width / canvas.clientWidth;
  const tiles = () => nv.screenSlices.filter((tile) => tile.axCorSag <= 2 && tile.AxyzMxy.length >= 4);
  const project = (tile, mm) => {
    const [fx, fy, fz] = nv.mm2frac(mm), m = nv.volumes[0].frac2mmOrtho;
    const ortho = [0, 1, 2].map((i) => m[i] * fx + m[4 + i] * fy + m[8 + i] * fz + m[12 + i]);
    const [u, v] = [[ortho[0], ortho[1]], [ortho[0], ortho[2]], [ortho[1], ortho[2]]][tile.axCorSag];
    let [left, top, width, height] = tile.leftTopWidthHeight, across = (u - tile.leftTopMM[0]) / tile.fovMM[0];
    if (width < 0) { left += width; width = -width; across = 1 - across; }
    const up = (v - tile.leftTopMM[1]) / tile.fovMM[1];
    return { x: (left + across * width) / ratio(), y: (top + (1 - up) * height) / ratio(), inside: across >= 0 && across <= 1 && up >= 0 && up <= 1 };
  };
  const placeAt = (x, y) => {
    const mm = nv.screenXY2mm(x * ratio(), y * ratio());
    return Number.isFinite(mm[0]) ? { mm: [mm[0], mm[1], mm[2]], tile: nv.screenSlices[mm[3]] } : null;
  };
  const valueAt = (volume, mm) => {
    const vox = [...volume.mm2vox(mm)], size = volume.dimsRAS.slice(1, 4);
    return vox.some((one, i) => one < 0 || one >= size[i]) ? null : volume.getValue(...vox);
  };

  const levelAt = (mm) => {
    const label = nv.volumes.length > 1 ? valueAt(nv.volumes[1], mm) : 0;
    const own = measured.find((mark) => mark.label === label);
    if (own) return own;
    // The spine curves to front and back out of a flat coronal plane.
    const room = (mark) => mark.half.map((half, i) => (i === 1 ? half + CURVE_MM : half));
    return marks.find((mark) => room(mark).every((half, i) => Math.abs(mm[i] - mark.middle[i]) <= half)) ?? null;
  };

  // Names beside the bodies, in every plane in which they can be told apart.
  const named = new Map();
  const label = (key, mark) => {
    if (!named.has(key)) {
      const text = layer.appendChild(document.createElement("span"));
      text.textContent = mark.withheld ? `(${mark.short})` : mark.short;
      text.className = mark.measured ? "mark" : "mark seen";
      if (mark.measured) text.style.setProperty("--colour", mark.colour);
      text.dataset.level = mark.level; text.dataset.plane = key[0];
      named.set(key, text);
    }
    return named.get(key);
  };
  const name = () => {
    const shown = new Set(), centre = nv.volumes.length ? nv.frac2mm(nv.scene.crosshairPos) : null;
    if (centre && view !== "render") for (const tile of tiles()) {
      for (const mark of marks) {
        const axial = tile.axCorSag === 0;
        if (axial && Math.abs(centre[2] - mark.middle[2]) > mark.half[2]) continue;
        const reach = tile.axCorSag === 2 ? mark.half[1] : mark.half[0];
        const from = project(tile, mark.middle), text = label(`${tile.axCorSag} ${mark.level}`, mark);
        if (!from.inside) continue;
        const width = Math.abs(tile.leftTopWidthHeight[2]) / ratio(), side = Math.abs(reach / tile.fovMM[0]) * width + 6;
        const left = Math.min(tile.leftTopWidthHeight[0], tile.leftTopWidthHeight[0] + tile.leftTopWidthHeight[2]) / ratio();
        const x = Math.min(from.x + side, left + width - 30);
        text.style.transform = `translate(${x.toFixed(1)}px, ${from.y.toFixed(1)}px) translateY(-50%)`;
        text.classList.toggle("here", at >= 0 && measured[at]?.level === mark.level);
        text.hidden = false;
        shown.add(text);
      }
    }
    for (const text of named.values()) if (!shown.has(text)) text.hidden = true;
  };

  const after = [];
  const draw = nv.drawScene.bind(nv), update = nv.updateGLVolume.bind(nv);
  nv.drawScene = (...given) => {
    if (quiet) return "";
    const made = draw(...given);
    if (nv.volumes.length) { name(); for (const one of after) one(); }
    return made;
  };
  nv.updateGLVolume = () => { if (!quiet) update(); };
  // A canvas of another size is drawn once; NiiVue hears of it late, when what fits it may long have been drawn.
  const resized = nv.resizeListener.bind(nv), size = () => [canvas.clientWidth, canvas.clientHeight, devicePixelRatio].join(" ");
  let fitted = "";
  const fit = () => { if (fitted !== size()) { fitted = size(); together(resized); } };
  nv.resizeListener = () => {
    if (fitted === size()) return;
    together(() => { fit(); if (nv.volumes.length && view === "multi") { layout(); fit(); } });
    nv.drawScene();
  };

  const select = (level, scroll) => {
    const i = measured.findIndex((mark) => mark.level === level);
    at = i;
    for (const row of rows) {
      row.classList.toggle("here", row.dataset.level === level);
      if (scroll && row.dataset.level === level) row.scrollIntoView({ block: "nearest", behavior: "auto" });
    }
    const row = rows.find((one) => one.dataset.level === level);
    where.textContent = row ? row.dataset.told : level;
    box.dataset.at = level;
  };

  const jump = (i) => {
    if (!measured.length || !nv.volumes.length) return;
    const mark = measured[(i + measured.length) % measured.length];
    select(mark.level, false);
    nv.scene.crosshairPos = nv.mm2frac(mark.middle);
    nv.drawScene();
    tellPlace(mark.middle);
  };

  const tellPlace = (mm) => {
    const value = nv.volumes.length ? valueAt(nv.volumes[0], mm) : null;
    hu.textContent = value === null ? "–" : `${Math.round(value)} HU`;
    const signs = [mm[0] < 0 ? "L" : "R", mm[1] < 0 ? "P" : "A", mm[2] < 0 ? "I" : "S"];
    position.textContent = `${signs.map((sign, i) => `${sign} ${Math.abs(mm[i]).toFixed(1)}`).join("  ")} mm`;
    Object.assign(readout.dataset, { hu: value === null ? "" : String(Math.round(value)), mm: [...mm].slice(0, 3).map((one) => one.toFixed(2)).join(",") });
  };
  canvas.addEventListener("pointermove", (event) => {
    if (!nv.volumes.length || event.pointerType === "touch") return;
    const place = placeAt(event.offsetX, event.offsetY);
    if (place) tellPlace(place.mm);
  });
  nv.onLocationChange = (told) => {
    tellPlace(told.mm);
    if (trabecula.viewer.drawing) return;
    const found = levelAt(told.mm);
    if (found && found.level !== box.dataset.at) select(found.level, true);
    name();
  };

  // The 3-D picture stands for itself where software draws: it takes half a second for each.
  const colour = () => { nv.volumes[1].setColormapLabel(colours()); nv.updateGLVolume(); };
  const hide = (level) => { hidden = level; if (nv.volumes.length > 1) colour(); };

  // The whole CT is unfolded by the worker when it is first asked for, and comes with its progress.
  const fetched = async (url, wanted) => {
    for (let asked = 0; ; asked += 1) {
      if (!wanted()) return null;
      const answer = await (asked ? fetch(`${url}?wait=1`) : trabecula.get(url));
      if (answer.status === 202) {
        status.textContent = (await answer.json()).message;
        await new Promise((done) => setTimeout(done, 600));
        continue;
      }
      if (!answer.ok) throw Object.assign(new Error(answer.status), { told: (await answer.json().catch(() => ({}))).message ?? say("no-ct") });
      const pieces = [], reader = answer.body.getReader();
      for (let size = 0; ;) {
        const { done, value } = await reader.read();
        if (done) return new Blob(pieces).arrayBuffer();
        if (!wanted()) { reader.cancel(); return null; }
        pieces.push(value); size += value.length;
        status.textContent = say("loaded", { mb: (size / 1e6).toFixed(1) });
      }
    }
  };

  // What was asked for last is shown, however late an earlier answer comes.
  let asked = 0;
  const load = async () => {
    status.textContent = say("loading");
    const mine = asked += 1, wanted = () => mine === asked;
    const started = performance.now(), study = box.dataset.study;
    const [ct, regions] = await Promise.all([fetched(`${study}/view/${source.value}`, wanted), fetched(box.dataset.labels, wanted)]);
    if (!wanted()) return;
    const image = await niivue.NVImage.loadFromUrl({ url: ct, name: "ct.nii", colormap: "gray", cal_min: WINDOWS[window_][0], cal_max: WINDOWS[window_][1], trustCalMinMax: true });
    const overlay = await niivue.NVImage.loadFromUrl({ url: regions, name: "labels.nii", opacity: Number(opacity.value) });
    overlay.setColormapLabel(colours());
    if (!wanted()) return;
    together(() => {
      while (nv.volumes.length) nv.removeVolume(nv.volumes[0]);
      nv.addVolume(image);
      nv.addVolume(overlay);
      setView(view);
      if (measured.length) {
        const used = measured.findIndex((mark) => rows.some((row) => row.dataset.level === mark.level && row.classList.contains("standing-used")));
        jump(at >= 0 ? at : Math.max(used, 0));
      } else tellPlace([...nv.frac2mm(nv.scene.crosshairPos)]);
    });
    nv.updateGLVolume();
    status.textContent = "";
    box.dataset.drawn = String(Math.round(performance.now() - started));
  };
  const fail = (error) => {
    status.textContent = error?.told ?? say("no-webgl");
    box.dataset.drawn = "failed";
  };

  const KEYS = {
    n: () => jump(at + 1), p: () => jump(at < 0 ? -1 : at - 1), b: () => setWindow("bone"), s: () => setWindow("soft"), l: () => setWindow("lung"),
    o: () => setOpacity(Number(opacity.value) > 0 ? 0 : lastOpacity), r: () => document.getElementById("rule").click(),
    // x grows to the patient's right, which is shown on the left
    ArrowLeft: () => nv.moveCrosshairInVox(1, 0, 0), ArrowRight: () => nv.moveCrosshairInVox(-1, 0, 0),
    ArrowUp: () => nv.moveCrosshairInVox(0, 0, 1), ArrowDown: () => nv.moveCrosshairInVox(0, 0, -1),
    PageUp: () => nv.moveCrosshairInVox(0, 1, 0), PageDown: () => nv.moveCrosshairInVox(0, -1, 0),
  };
  ["multi", "axial", "coronal", "sagittal", "render"].forEach((one, i) => { KEYS[String(i + 1)] = () => setView(one); });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || !nv.volumes.length) return;
    event.preventDefault(); event.stopImmediatePropagation();
    act();
  }, true);
  for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => setView(button.dataset.view));
  for (const button of document.querySelectorAll("[data-window]")) button.addEventListener("click", () => setWindow(button.dataset.window));
  opacity.addEventListener("input", () => setOpacity(Number(opacity.value)));
  source.addEventListener("change", () => { delete box.dataset.drawn; load().catch(fail); });
  for (const row of rows) row.querySelector(".jump").addEventListener("click", () => jump(measured.findIndex((mark) => mark.level === row.dataset.level)));

  const start = () => {
    if (!document.createElement("canvas").getContext("webgl2")) return fail();
    return nv.attachToCanvas(canvas).then(load).catch(fail);
  };
  return { nv, box, canvas, marks, measured, rgb, tiles, project, placeAt, valueAt, after, hide, setView, start, source,
    current: () => measured[at] ?? null, drawing: false };
})();
