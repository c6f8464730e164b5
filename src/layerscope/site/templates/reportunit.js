"use strict";
// One unit of a hierarchy report: what it is called, how sure that is, and everything that was measured for it.
(() => {
  const { el, step, name, number, percent, plural, factList, ruler, scaleOf } = LAYERSCOPE;
  const { reportData, reportLayerData, reportAddress, address, galleriesOf, tag } = LAYERSCOPE;
  const {
    rowAt,
    excites,
    crops,
    framed,
    codes,
    sure,
    given,
    syntheticOf,
    measuredPicture,
    describedUnit,
    unitTuning,
    unitMeasures,
    unitTests,
    testRows,
  } = LAYERSCOPE;
  const { saved, sourceOf, rowsOf, sheetsOf } = LAYERSCOPE;

  async function unit(of, at, index) {
    const [data, table] = await Promise.all([reportData(of), reportLayerData(of, at)]);
    const layer = data.layers[of.layers.indexOf(at)];
    const row = rowAt(table, index);
    const to = (other) => (other >= 0 && other < layer.units ? reportAddress(of, at, other) : null);
    const source = sourceOf(data, "hierarchy", of.title, `${at.name} ${index}`);
    const python = layer.python.tuning.join(index);
    return {
      title: `${at.name}:${index} · Hierarchy of ${of.title}`,
      trail: [
        ["hierarchy", "#/hierarchy"],
        [of.title, reportAddress(of)],
        [at.name, reportAddress(of, at)],
        [`#${index}`, reportAddress(of, at, index)],
      ],
      previous: to(index - 1),
      next: to(index + 1),
      content: [
        head(of, at, layer, row, to),
        el(
          "section",
          { class: "pictures of-report" },
          el(
            "div",
            { class: "made-of" },
            saved(synthetic(data, layer, row), source, "picture made to drive it", pictureOf(data, layer, index)),
            saved(seen(data, layer, row, excites(table, index)), source, "what it sees", probeOf(data, table, index)),
          ),
          saved(unitTests(row), source, "tests", { rows: () => testRows(row) }),
        ),
        saved(natural(data, excites(table, index)), source, "images that excite it most", {
          rows: () => [["picture of the probe", "activation", "left", "top", "side"], ...exemplarRows(table, index)],
        }),
        el(
          "section",
          { class: "chapter" },
          el("h2", {}, "To what it is tuned"),
          el(
            "p",
            { class: "quiet lines" },
            "Answers in standard deviations of those to white noise; shaded the interval of what it prefers.",
          ),
          unitTuning(row, table.tuning, index, data, source, python),
        ),
        unitMeasures(row, source, layer.python.measures.join(index)),
        await LAYERSCOPE.unitImages(LAYERSCOPE.ofReport(of, at), index, source),
        LAYERSCOPE.command("The line of Python that draws its tuning again", python),
        saved(everything(table, index), source, "all numbers", { rows: () => rowsOf([factsOf(table, index)]) }),
      ],
    };
  }

  // A synthetic picture and the sheet of it; the line that makes it again.
  const pictureOf = (data, layer, index) => ({
    picture: () => document.querySelector(".made canvas").copy(),
    sheets: sheetsOf(data.pictures, layer.tiles[index], 1),
    python: layer.python.picture.join(index),
  });

  const probeOf = (data, table, index) => ({
    picture: () => document.querySelector(".seen-of canvas").copy(),
    sheets: sheetsOf(data.probe_sheet, table.exemplars[index][0], 1),
  });

  const exemplarRows = (table, index) =>
    excites(table, index).map(({ tile, score, box }) => [tile, score, ...box]);

  function head(of, at, layer, row, to) {
    return el(
      "header",
      { class: "head split" },
      el(
        "div",
        {},
        el(
          "h1",
          {},
          name(at.name, 80),
          el("span", { class: "number" }, `:${row.unit}`),
          " ",
          el("span", { class: "title-label" }, tag(row.label)),
        ),
        codes(row) ? el("p", { class: "lead" }, codes(row)) : null,
        el(
          "p",
          { class: "summary" },
          el(
            "span",
            {},
            given(row.confidence) ? "same label in " : null,
            sure(row),
            given(row.confidence) ? ": how stable it is where stimuli and images are drawn anew, not how right" : null,
          ),
          row.runner_up
            ? el("span", {}, "next ", tag(row.runner_up), row.runner_up_passed ? " passes too" : " does not pass")
            : null,
          row.polysemantic ? el("span", {}, "overlaps ", el("b", {}, "two kinds of concept"), " about equally") : null,
          el(
            "span",
            {},
            el("a", { href: reportAddress(of, at) }, `all ${plural(layer.units, "unit")} of `, name(at.name, 24)),
          ),
          el("span", {}, el("a", { href: reportAddress(of) }, "the report")),
          galleriesOf(of, at, row.unit).map(([network, found]) =>
            el(
              "span",
              {},
              el(
                "a",
                { href: address(network, found, row.unit) },
                "its picture in the gallery of ",
                name(network.title, 40),
              ),
            ),
          ),
        ),
      ),
      el(
        "nav",
        { class: "steps", "aria-label": "Neighbouring units" },
        step(to(row.unit - 1), "prev", `← #${row.unit - 1}`),
        step(to(row.unit + 1), "next", `#${row.unit + 1} →`),
      ),
    );
  }

  function natural(data, shown) {
    return el(
      "section",
      { class: "chapter natural" },
      el("h2", {}, "Natural images that excite it most"),
      el(
        "p",
        { class: "quiet lines" },
        "With the activation of each. The frame is what the unit sees where it answers most; without a frame it sees the whole image.",
      ),
      el(
        "ul",
        { class: "exemplars of-nine" },
        shown.map((one, turn) =>
          el(
            "li",
            {},
            framed(
              data.probe_sheet,
              one,
              `Natural image ${turn + 1}: activation ${number(one.score)}${place(one.box)}`,
            ),
            el("span", { class: "under small" }, el("span", {}, `${turn + 1}`), el("b", {}, number(one.score))),
          ),
        ),
      ),
    );
  }

  const place = (box) =>
    box.every(given) && box[2] < 0.999
      ? `; it sees ${percent(box[2])} of the side, from ${percent(box[0])} of the left and ${percent(box[1])} of the top`.replaceAll(
          "-",
          "−",
        )
      : "; it sees the whole image";

  function synthetic(data, layer, row) {
    const made = layer.pictures?.[row.unit];
    if (!given(layer.tiles[row.unit])) return null;
    const numbers = { ratio: null, control: null, natural: null, ...made };
    return el(
      "figure",
      {
        class: `made on-picture is-${["converged", "weak", "dead"].includes(made?.status) ? made.status : "other"}`,
        "--side": "264px",
      },
      syntheticOf(data, layer, row, made),
      el(
        "figcaption",
        {},
        given(numbers.score) ? ruler(numbers, scaleOf([numbers])) : null,
        el("p", { class: "big" }, measuredPicture(made)),
        el(
          "p",
          {},
          "The picture made to drive it, ",
          made?.status ? `${LAYERSCOPE.short(made.status, 20)}; ` : "",
          `control ${number(numbers.control)}, natural ${number(numbers.natural)}`,
        ),
        made?.note ? el("p", {}, name(made.note, 200)) : null,
      ),
    );
  }

  const seen = (data, layer, row, shown) =>
    el(
      "figure",
      { class: "seen-of on-picture", "--side": "264px" },
      crops(data.probe_sheet, shown, `${describedUnit(layer, row)}; what it sees in the nine images`),
      el("figcaption", { class: "small" }, "What it sees of each, at one scale."),
    );

  const factsOf = (table, index) =>
    Object.fromEntries(Object.entries(table.units).map(([key, values]) => [key, values[index]]));

  function everything(table, index) {
    const facts = Object.fromEntries(
      Object.entries(factsOf(table, index)).map(([key, fact]) => [
        key,
        typeof fact === "boolean" ? (fact ? "yes" : "no") : fact,
      ]),
    );
    return el(
      "details",
      { class: "everything" },
      el("summary", {}, `All ${Object.keys(facts).length} numbers of this unit`),
      factList(facts),
    );
  }

  LAYERSCOPE.reportUnit = unit;
})();
