"use strict";
// What was dropped or chosen, as studies and series by their DICOM headers. It is read here; nothing of it is sent.
trabecula.preview = (() => {
  const WHOLE = /\.(nii(\.gz)?|nrrd|zip)$/i;
  const HEAD_BYTES = 64 * 1024, FEWEST_SLICES = 5;

  const headerOf = async (file) => {
    if (!window.dicomParser) return null;
    try {
      const bytes = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
      const read = dicomParser.parseDicom(bytes, { untilTag: "x00280011" });
      const text = (tag) => read.string(tag) ?? "";
      return { study: text("x0020000d"), series: text("x0020000e"), number: text("x00200011"), modality: text("x00080060"),
        words: text("x0008103e"), thickness: text("x00180050"), kernel: text("x00181210"), date: text("x00080020") };
    } catch { return null; }
  };

  // A folder is one study unless its headers say otherwise; a file that holds a whole study is one; the rest is one.
  const studiesIn = async (groups, tellCount) => {
    const found = [];
    let count = 0;
    for (const files of groups) {
      const byUid = new Map(), rest = [];
      for (const file of files) {
        if (WHOLE.test(file.name)) { found.push({ whole: file.name, series: [{ files: [file] }], others: [] }); continue; }
        const header = await headerOf(file);
        if ((count += 1) % 50 === 0) tellCount(count);
        if (!header?.study) { rest.push(file); continue; }
        if (!byUid.has(header.study)) byUid.set(header.study, { date: header.date, series: new Map(), others: [] });
        const series = byUid.get(header.study).series;
        if (!series.has(header.series)) series.set(header.series, { ...header, files: [] });
        series.get(header.series).files.push(file);
      }
      const studies = [...byUid.values()].map((study) => ({ ...study, series: [...study.series.values()] }));
      if (studies.length === 1) studies[0].others = rest;
      else if (rest.length && !studies.length) studies.push({ series: [{ files: rest }], others: [] });
      found.push(...studies);
    }
    return found;
  };

  const images = (study) => study.series.filter((one) => one.modality === "CT" && one.files.length >= FEWEST_SLICES);
  // Whether a person should see what there is before it is sent.
  const worthShowing = (studies) => studies.length > 1 || studies.some((study) => images(study).length > 1);
  const filesOf = (study, only) => (only === undefined ? [...study.series.flatMap((one) => one.files), ...study.others] : study.series[only].files);
  return { studiesIn, worthShowing, filesOf, images };
})();
