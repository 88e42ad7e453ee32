"use strict";
// The viewer of a study: NiiVue draws the CT and the regions; rows and keys lead to the vertebrae.
(() => {
  const BONE_IN_3D = [140, 900];  // what is below the window is transparent there
  const WINDOWS = { bone: [-450, 1050], soft: [-160, 240], lung: [-1350, 150] };
  const VIEWS = ["multi", "axial", "coronal", "sagittal", "render"];
  const box = document.getElementById("viewer"), canvas = document.getElementById("gl");
  const status = document.getElementById("viewer-status"), where = document.getElementById("where");
  const opacity = document.getElementById("opacity"), source = document.getElementById("source");
  const rows = [...document.querySelectorAll("#vertebrae tr[data-ras]")];
  let view = "multi", window_ = "bone", at = -1, lastOpacity = 0.45;

  const colours = () => {
    const map = { R: [0], G: [0], B: [0], A: [0], I: [0], labels: [""] };
    for (const [id, hex] of Object.entries(JSON.parse(box.dataset.colours))) {
      map.I.push(Number(id));
      map.R.push(parseInt(hex.slice(1, 3), 16)); map.G.push(parseInt(hex.slice(3, 5), 16)); map.B.push(parseInt(hex.slice(5, 7), 16));
      map.A.push(255); map.labels.push("");
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
    multiplanarShowRender: niivue.SHOW_RENDER.NEVER, multiplanarLayout: niivue.MULTIPLANAR_TYPE.GRID, isRadiologicalConvention: true, dragAndDropEnabled: false,
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

  const setView = (name) => {
    view = name; press("view", name);
    const types = { multi: nv.sliceTypeMultiplanar, axial: nv.sliceTypeAxial, coronal: nv.sliceTypeCoronal,
      sagittal: nv.sliceTypeSagittal, render: nv.sliceTypeRender };
    setWindow(window_);
    nv.setSliceType(types[name]);
  };

  const setOpacity = (value) => {
    opacity.value = value;
    if (value > 0) lastOpacity = value;
    if (nv.volumes.length > 1) nv.setOpacity(1, value);
  };

  const jump = (i) => {
    if (!rows.length || !nv.volumes.length) return;
    at = (i + rows.length) % rows.length;
    for (const row of rows) row.classList.toggle("here", row === rows[at]);
    nv.scene.crosshairPos = nv.mm2frac(rows[at].dataset.ras.split(",").map(Number));
    nv.drawScene();
    where.textContent = `${rows[at].dataset.level}, ${rows[at].lastElementChild.textContent}`;
    box.dataset.at = rows[at].dataset.level;
  };

  // The 3-D tile stands beside the planes where a graphics card draws; software takes half a second for each picture.
  const hasCard = () => {
    const known = nv.gl.getExtension("WEBGL_debug_renderer_info");
    const name = known ? nv.gl.getParameter(known.UNMASKED_RENDERER_WEBGL) : "";
    return !/swiftshader|llvmpipe|software|basic render/i.test(name);
  };

  const load = async () => {
    status.textContent = "Loading the CT …";
    const started = performance.now(), study = box.dataset.study;
    await nv.loadVolumes([
      { url: `${study}/view/${source.value}`, name: "ct.nii", colormap: "gray", cal_min: WINDOWS[window_][0], cal_max: WINDOWS[window_][1], trustCalMinMax: true },
      { url: box.dataset.labels, name: "labels.nii", opacity: Number(opacity.value) },
    ]);
    nv.volumes[1].setColormapLabel(colours());
    nv.updateGLVolume();
    nv.opts.multiplanarShowRender = hasCard() ? niivue.SHOW_RENDER.ALWAYS : niivue.SHOW_RENDER.NEVER;
    setView(view);
    if (rows.length) {
      const used = rows.findIndex((row) => row.classList.contains("standing-used"));
      jump(at >= 0 ? at : Math.max(used, 0));
    }
    status.textContent = "";
    box.dataset.drawn = String(Math.round(performance.now() - started));
  };

  const KEYS = {
    n: () => jump(at + 1), p: () => jump(at - 1), b: () => setWindow("bone"), s: () => setWindow("soft"), l: () => setWindow("lung"),
    o: () => setOpacity(Number(opacity.value) > 0 ? 0 : lastOpacity),
    // x grows to the patient's right, which is shown on the left
    ArrowLeft: () => nv.moveCrosshairInVox(1, 0, 0), ArrowRight: () => nv.moveCrosshairInVox(-1, 0, 0),
    ArrowUp: () => nv.moveCrosshairInVox(0, 0, 1), ArrowDown: () => nv.moveCrosshairInVox(0, 0, -1),
    PageUp: () => nv.moveCrosshairInVox(0, 1, 0), PageDown: () => nv.moveCrosshairInVox(0, -1, 0),
  };
  VIEWS.forEach((name, i) => { KEYS[String(i + 1)] = () => setView(name); });

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault(); event.stopImmediatePropagation();
    act();
  }, true);
  for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => setView(button.dataset.view));
  for (const button of document.querySelectorAll("[data-window]")) button.addEventListener("click", () => setWindow(button.dataset.window));
  opacity.addEventListener("input", () => setOpacity(Number(opacity.value)));
  source.addEventListener("change", () => load().catch(fail));
  rows.forEach((row, i) => row.querySelector(".jump").addEventListener("click", () => jump(i)));

  const fail = () => {
    status.textContent = "The viewer cannot draw here: it needs a browser with WebGL 2. The pictures in the report show the same.";
    box.dataset.drawn = "failed";
  };

  // Files of a correction are written by the worker; the page is loaded anew when they are there.
  const files = document.getElementById("files");
  const waitForFiles = async () => {
    try {
      const now = await (await fetch(files.dataset.state, { headers: { Accept: "application/json" } })).json();
      if (now.files !== "pending" && !document.getElementById("correct").open) return location.reload();
    } catch { /* asked again below */ }
    setTimeout(waitForFiles, 1000);
  };
  if (files.dataset.files === "pending") setTimeout(waitForFiles, 700);

  document.documentElement.dataset.ready = "yes";
  nv.attachToCanvas(canvas).then(load).catch(fail);
})();
