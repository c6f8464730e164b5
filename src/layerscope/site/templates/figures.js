"use strict";
// Pictures and the figures that measure them.
(() => {
  const { el, svg, number, ratio, percent, tileOf, sheet } = LAYERSCOPE;

  const LARGE = 1024; // pixels, at least: the width of a picture that is saved

  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        seen.unobserve(entry.target);
        entry.target.paint(Math.round(entry.boundingClientRect.width)); // to ask for it later costs a layout each
      }
    },
    { rootMargin: "500px" },
  );

  // A canvas that is drawn once it comes near the window. `draw` gets its width and its context and says when it is done.
  function onSight(label, shape, draw) {
    const canvas = el("canvas", { role: "img", "aria-label": label, title: label, "--count": 1, "--shape": shape });
    canvas.paint = async (room) => {
      const width = Math.max(1, Math.round((room || 128) * (window.devicePixelRatio || 1)));
      canvas.width = width;
      canvas.height = Math.max(1, Math.round(width / shape));
      await draw(canvas.getContext("2d"), width);
      canvas.dataset.painted = "";
    };
    canvas.copy = async () => {
      const width = Math.max(LARGE, 2 * canvas.clientWidth);
      const other = el("canvas", { width, height: Math.max(1, Math.round(width / shape)) });
      await draw(other.getContext("2d"), width);
      return other;
    };
    seen.observe(canvas);
    return canvas;
  }

  // `count` tiles from `place` on, `gap` CSS pixels apart, drawn once they come near the window.
  function picture(sprite, place, label, { count = 1, gap = 0 } = {}) {
    const [width, height] = sprite.tile;
    const words = { role: "img", "aria-label": label, title: label };
    const canvas = el("canvas", { ...words, "--count": count, "--shape": width / height });
    const draw = async (onto, room, density) => {
      const tiles = Array.from({ length: count }, (_, turn) => tileOf(sprite, place + turn));
      const sheets = await Promise.all(tiles.map((tile) => sheet(tile.url)));
      const space = Math.round(gap * density);
      const side = Math.max(1, Math.round((room * density - space * (count - 1)) / count));
      onto.width = side * count + space * (count - 1);
      onto.height = Math.round((side * height) / width);
      const context = onto.getContext("2d");
      context.imageSmoothingEnabled = width >= 24; // a crop of few pixels is shown as these pixels
      context.imageSmoothingQuality = "high";
      tiles.forEach(({ left, top }, turn) => {
        context.drawImage(sheets[turn], left, top, width, height, turn * (side + space), 0, side, onto.height);
      });
    };
    canvas.paint = async (room) => {
      await draw(canvas, room || 128, window.devicePixelRatio || 1);
      canvas.dataset.painted = "";
    };
    canvas.copy = async () => {
      const other = el("canvas");
      await draw(other, Math.max(LARGE, 2 * canvas.clientWidth) / 2, 2);
      return other;
    };
    seen.observe(canvas);
    return canvas;
  }

  // The files that `count` tiles are cut from, as [words, address].
  function sheetsOf(sprite, place = 0, count = sprite ? sprite.sheets.length * sprite.per_sheet : 0) {
    const urls = sprite ? Array.from({ length: count }, (_, turn) => tileOf(sprite, place + turn).url) : [];
    const there = [...new Set(urls)].filter(Boolean);
    return there.map((url, turn) => [there.length > 1 ? `sheet ${turn + 1} of ${there.length}` : "sheet", url]);
  }

  // One scale for all rulers of a layer, so that they can be compared; in a large one the strongest few lie beyond it.
  function scaleOf(units) {
    const relative = units.some((unit) => unit.ratio !== null);
    const values = units
      .flatMap((unit) => marksOf(unit, relative))
      .filter((value) => value !== null)
      .sort((a, b) => a - b);
    const high = values[values.length < 60 ? values.length - 1 : Math.floor(0.97 * values.length)] ?? 1;
    return { relative, low: Math.min(0, values[0] ?? 0), high: Math.max(relative ? 1.25 : 1e-9, high) * 1.04 };
  }

  function marksOf(unit, relative) {
    if (!relative) return [unit.score, unit.control];
    if (unit.ratio === null) return [null, null];
    return [unit.ratio, unit.control === null ? null : unit.control / unit.natural];
  }

  // The ruler under a picture: a tick at the strongest natural activation, a ring at the control, a bar to the score.
  function ruler(unit, scale) {
    const [score, control] = marksOf(unit, scale.relative);
    const at = (value) => `${Math.min(100, Math.max(0, (100 * (value - scale.low)) / (scale.high - scale.low)))}%`;
    if (score === null) return el("span", { class: "ruler", "aria-hidden": "true" });
    const marks = [el("i", { class: "bar", "--from": at(Math.min(0, score)), "--to": at(Math.max(0, score)) })];
    if (scale.relative) marks.push(el("i", { class: "natural", "--at": at(1) }));
    if (control !== null) marks.push(el("i", { class: "control", "--at": at(control) }));
    const strong = !scale.relative || score >= 1;
    return el(
      "span",
      { class: `ruler${strong ? " strong" : ""}${score > scale.high ? " beyond" : ""}`, "aria-hidden": "true" },
      marks,
    );
  }

  // The number that stands under every picture.
  const measure = (unit) => (unit.ratio === null ? `score ${number(unit.score)}` : ratio(unit.ratio));

  // The whole sentence for people who hear the page.
  function described(unit, of) {
    const label = unit.label ? `, ${LAYERSCOPE.short(unit.label, 60)}` : "";
    const natural = unit.ratio === null ? "no ratio" : `${ratio(unit.ratio)} the strongest natural activation`;
    const whose = `Unit ${unit.unit}${label} of ${LAYERSCOPE.short(of, 60)}`;
    return `${whose}: score ${number(unit.score)}, ${natural}, ${unit.status}`;
  }

  const FILLED = { converged: "M5 1a4 4 0 0 1 0 8a4 4 0 0 1 0-8z", weak: "M5 1a4 4 0 0 0 0 8z" };

  function statusMark(status) {
    const known = ["converged", "weak", "dead"].includes(status);
    return svg(
      "svg",
      { class: "mark", viewBox: "0 0 10 10", width: 10, height: 10, "aria-hidden": "true" },
      svg("circle", {
        cx: 5,
        cy: 5,
        r: 4,
        fill: "none",
        stroke: "currentColor",
        "stroke-dasharray": known ? null : "2 2",
      }),
      FILLED[status] ? svg("path", { d: FILLED[status], fill: "currentColor" }) : null,
    );
  }

  const status = (word, words = word) =>
    el(
      "span",
      { class: `status is-${["converged", "weak", "dead"].find((known) => known === word) || "other"}` },
      statusMark(word),
      words,
    );

  // Shares of converged, weak and dead units as one bar, with the counts beside it.
  function shares(counts, made) {
    const order = [
      "converged",
      "weak",
      "dead",
      ...Object.keys(counts).filter((word) => !["converged", "weak", "dead"].includes(word)),
    ];
    const there = order.filter((word) => counts[word]);
    return el(
      "span",
      { class: "shares" },
      el(
        "span",
        { class: "stack", "aria-hidden": "true" },
        there.map((word, place) =>
          el("i", { class: `is-${place > 2 ? "other" : word}`, "--share": counts[word] / made }),
        ),
      ),
      el(
        "span",
        { class: "counts" },
        there.map((word) =>
          el("span", { title: percent(counts[word] / made) }, statusMark(word), `${LAYERSCOPE.whole(counts[word])} ${word}`),
        ),
      ),
    );
  }

  // The square that one position sees, drawn on the square of the whole input; without positions that is all of it.
  function receptiveField(layer, input) {
    const size = layer.receptive_field ?? (seesAll(layer) ? input : 0);
    const side = input ? Math.min(1, size / input) * 18 : 0;
    return svg(
      "svg",
      { class: "field", viewBox: "0 0 20 20", width: 20, height: 20, "aria-hidden": "true" },
      svg("rect", { x: 1, y: 1, width: 18, height: 18, fill: "none", stroke: "currentColor" }),
      svg("rect", { class: "seen", x: 10 - side / 2, y: 10 - side / 2, width: side, height: side }),
    );
  }

  const hasPositions = (layer) => (layer.shape || []).length > 1;
  // Galleries of before do not say how far a receptive field reaches; without positions it is the whole image.
  const seesAll = (layer) =>
    layer.receptive_field === null && (layer.reach ? layer.reach === "whole image" : !hasPositions(layer));
  const sees = (layer) => {
    if (seesAll(layer)) {
      return "whole image";
    }
    return (layer.reach === "upper bound" ? "at most " : "") + LAYERSCOPE.pixels(layer.receptive_field);
  };

  Object.assign(LAYERSCOPE, {
    sees,
    onSight,
    picture,
    sheetsOf,
    scaleOf,
    ruler,
    measure,
    described,
    statusMark,
    status,
    shares,
    receptiveField,
  });
})();
