"use strict";
// One unit of a hierarchy report: what it is called, how sure that is, and everything that was measured for it.
(() => {
  const { el, name, number, percent, plural, mark, factList, ruler, scaleOf } = LAYERSCOPE;
  const { reportData, reportLayerData, reportAddress, address, galleriesOf, TESTS, tag } = LAYERSCOPE;
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
  } = LAYERSCOPE;

  async function unit(of, at, index) {
    const [data, table] = await Promise.all([reportData(of), reportLayerData(of, at)]);
    const layer = data.layers[of.layers.indexOf(at)];
    const row = rowAt(table, index);
    const to = (other) => (other >= 0 && other < layer.units ? reportAddress(of, at, other) : null);
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
          el("div", { class: "made-of" }, synthetic(data, layer, row), seen(data, layer, row, excites(table, index))),
          evidence(row),
        ),
        natural(data, excites(table, index)),
        el(
          "section",
          { class: "chapter" },
          el("h2", {}, "To what it is tuned"),
          el(
            "p",
            { class: "quiet lines" },
            "Answers in standard deviations of those to white noise; shaded the interval of what it prefers.",
          ),
          unitTuning(row, table.tuning, index, data.stimuli),
        ),
        unitMeasures(row),
        everything(row),
      ],
    };
  }

  function head(of, at, layer, row, to) {
    const step = (other, key, words) =>
      to(other)
        ? el(
            "a",
            {
              class: "step",
              href: to(other),
              rel: key,
              "aria-keyshortcuts": key === "prev" ? "ArrowLeft" : "ArrowRight",
            },
            words(other),
          )
        : el("span", { class: "step none" });
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
            el("b", {}, sure(row)),
            given(row.confidence) ? ": the share of redrawn stimuli that give this label" : null,
          ),
          row.runner_up
            ? el("span", {}, "next ", tag(row.runner_up), row.runner_up_passed ? " passes too" : " does not pass")
            : null,
          row.polysemantic
            ? el("span", {}, el("b", {}, "two meanings"), ": concepts of two categories are about as strong")
            : null,
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
        step(row.unit - 1, "prev", (other) => `← #${other}`),
        step(row.unit + 1, "next", (other) => `#${other} →`),
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
        class: `made is-${["converged", "weak", "dead"].includes(made?.status) ? made.status : "other"}`,
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
      { class: "seen-of", "--side": "264px" },
      crops(data.probe_sheet, shown, `${describedUnit(layer, row)}; what it sees in the nine images`),
      el("figcaption", { class: "small" }, "What it sees of each, at one scale."),
    );

  // --- the tests

  const ASKS = {
    object: "Does it tell one class from all others, and whole objects from their parts apart?",
    part: "Does it fire where one kind of part is?",
    texture: "Does it answer to a texture more than to noise of the same spectrum?",
    colour: "Does hue move it more than light?",
    edge: "Does it answer to gratings, and to one orientation of them?",
  };

  const answer = (value, yes = "yes", no = "no") =>
    given(value)
      ? el("span", { class: `answer-to${value ? " of-good" : ""}` }, value ? mark("good") : null, value ? yes : no)
      : el("span", { class: "answer-to" }, "not asked");

  function evidence(row) {
    const there = TESTS.filter((test) => given(row[`${test}_passed`]));
    return el(
      "div",
      { class: "why" },
      el("h2", {}, "Why it is called that"),
      el(
        "p",
        { class: "quiet lines" },
        "The most demanding test that it passes gives the label. Evidence is in deviations of the units of random twins; to be beyond them, ",
        "a unit has to exceed all but 1% of these; to respond, images with permuted labels.",
      ),
      el(
        "div",
        { class: "scroller", tabindex: "0", role: "region", "aria-label": "Tests" },
        el(
          "table",
          { class: "tests" },
          el(
            "thead",
            {},
            el(
              "tr",
              {},
              ["test", "evidence", "responds", "beyond twins", "passed", "best"].map((head) =>
                el("th", { scope: "col" }, head),
              ),
            ),
          ),
          el(
            "tbody",
            {},
            there.map((test) => testRow(row, test)),
          ),
        ),
      ),
    );
  }

  const testRow = (row, test) =>
    el(
      "tr",
      { class: row[`${test}_passed`] ? "is-passed" : null },
      el("th", { scope: "row" }, tag(test), el("span", { class: "small" }, ASKS[test])),
      el(
        "td",
        { class: "value", "data-head": "evidence" },
        el("b", {}, number(row[`${test}_evidence`])),
        bar(row[`${test}_evidence`], test),
      ),
      el("td", { "data-head": "responds" }, answer(row[`${test}_responds`])),
      el("td", { "data-head": "beyond twins" }, answer(row[`${test}_beyond_twins`])),
      el("td", { "data-head": "test" }, answer(row[`${test}_passed`], "passed", "not passed")),
      el("td", { "data-head": "best" }, codes(row, test)),
    );

  const bar = (value, test) =>
    el("i", {
      class: `bar-of is-${test}`,
      "--share": Math.min(1, Math.max(0, (value ?? 0) / 12)),
      "aria-hidden": "true",
    });

  function everything(row) {
    const facts = Object.fromEntries(
      Object.entries(row).map(([key, fact]) => [key, typeof fact === "boolean" ? (fact ? "yes" : "no") : fact]),
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
