"use strict";
// One unit: its picture beside the natural images that drive it most, and every number that was measured.
(() => {
  const { el, step, name, number, ratio, percent, plural, picture, scaleOf, ruler, described, status, trace } =
    LAYERSCOPE;
  const { networks, address, findLayer, layerData, factList, reportsOf, reportAddress } = LAYERSCOPE;
  const { command, saved, sourceOf, sheetsOf, rowsOf, ofGallery, unitImages, classImages } = LAYERSCOPE;

  const MEANING = {
    converged: "The score is clear of pictures that were never climbed, and the ascent had settled.",
    weak: "The score is not clear of its control, or the ascent was still rising: read the picture with doubt.",
    dead: "Nothing moved this unit: the picture is the start of the ascent and shows nothing.",
  };

  const noRatio = (unit) =>
    unit.natural === null ? "no natural images were looked at" : "the strongest natural activation is not above zero";

  async function unit(of, at, index) {
    const data = await layerData(of, at);
    const place = data.units.findIndex((one) => one.unit === index);
    const trail = [
      [of.title, address(of)],
      [at.name, address(of, at)],
      [`#${index}`, address(of, at, index)],
    ];
    if (place < 0) return { title: "Not made", trail, content: [missing(of, at, index)] };
    const shown = data.units[place];
    const source = sourceOf({ ...of, seed: shown.seed, command: shown.python }, of.title, `${at.name} ${index}`);
    const to = (other) => (other ? address(of, at, other.unit) : null);
    return {
      title: `${at.name}:${index} · ${of.title}`,
      trail,
      previous: to(data.units[place - 1]),
      next: to(data.units[place + 1]),
      content: [
        head(of, at, data, place),
        pictures(of, at, data, place, source),
        LAYERSCOPE.outcomeCard(shown),
        saved(numbers(of, shown), source, "what was measured", {
          rows: () => rowsOf([shown], NUMBERS),
          python: data.python.unit.join(index),
        }),
        classImages(ofGallery(of, at), shown.label),
        await unitImages(ofGallery(of, at), index, source),
        making(shown, source, data.python.unit.join(index)),
      ],
    };
  }

  const NUMBERS = ["unit", "label", "score", "control", "natural", "ratio", "saturated", "status", "note", "objective"];

  function missing(of, at, index) {
    return el(
      "section",
      {},
      el("h1", {}, name(at.name, 80), `:${index}`),
      el(
        "p",
        {},
        `This unit is not made; ${at.made} of ${at.wanted} of its layer are. `,
        el("a", { href: address(of, at) }, "See them"),
      ),
    );
  }

  function head(of, at, data, place) {
    const shown = data.units[place];
    const stepTo = (other, key, words) => step(other && address(of, at, other.unit), key, other && words(other.unit));
    const others = networks.filter((one) => one !== of && findLayer(one, at.name)?.name === at.name);
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
          el("span", { class: "number" }, `:${shown.unit}`),
          shown.label ? [" ", el("span", { class: "title-label" }, name(shown.label, 160))] : null,
        ),
        el(
          "p",
          { class: "summary" },
          status(shown.status),
          others.map((one) =>
            el(
              "span",
              {},
              "the same number in ",
              el("a", { href: address(one, findLayer(one, at.name), shown.unit) }, name(one.title, 40)),
            ),
          ),
          reportsOf(of, at, shown.unit).map(([report, layer]) =>
            el(
              "span",
              {},
              "what it codes: ",
              el("a", { href: reportAddress(report, layer, shown.unit) }, "hierarchy report ", name(report.title, 40)),
            ),
          ),
        ),
      ),
      el(
        "nav",
        { class: "steps", "aria-label": "Neighbouring units" },
        stepTo(data.units[place - 1], "prev", (to) => `← #${to}`),
        stepTo(data.units[place + 1], "next", (to) => `#${to} →`),
      ),
    );
  }

  function pictures(of, at, data, place, source) {
    const shown = data.units[place];
    const side = Math.min(400, data.pictures.tile[0] * (data.pictures.tile[0] <= 96 ? 5 : 2));
    const drawn = picture(data.pictures, place, described(shown, at.name));
    return el(
      "section",
      { class: "pictures" },
      el(
        "figure",
        { class: `made is-${shown.status}`, "--side": `${side}px` },
        saved(el("div", { class: "on-picture" }, drawn), source, "picture", {
          picture: () => drawn.copy(),
          sheets: sheetsOf(data.pictures, place, 1),
          python: shown.python,
        }),
        el(
          "figcaption",
          {},
          ruler(shown, scaleOf(data.units)),
          el("p", { class: "big" }, shown.ratio === null ? number(shown.score) : ratio(shown.ratio)),
          el(
            "p",
            {},
            shown.ratio === null ? `score; no ratio: ${noRatio(shown)}` : "of the strongest natural activation",
          ),
        ),
      ),
      naturals(data, place, shown, source),
    );
  }

  function naturals(data, place, shown, source) {
    const node = el(
      "div",
      { class: "natural" },
      el("h2", {}, "Natural images that drive it most"),
      shown.exemplars.length
        ? exemplars(data, place, shown)
        : el("p", { class: "quiet" }, "None were collected: this gallery was made without a probe set."),
    );
    if (!shown.exemplars.length) return node;
    const first = place * data.exemplars.crops;
    return saved(node, source, "natural images", {
      sheets: sheetsOf(data.exemplars, first, shown.exemplars.length),
      rows: () => rowsOf(shown.exemplars, ["image", "label", "score"]),
    });
  }

  function exemplars(data, place, shown) {
    const first = place * data.exemplars.crops;
    const spoken = (one) => `Natural image ${one.image ?? ""}, ${LAYERSCOPE.short(one.label ?? "unlabelled", 60)}`;
    return el(
      "ul",
      { class: "exemplars" },
      shown.exemplars.map((one, turn) =>
        el(
          "li",
          {},
          picture(data.exemplars, first + turn, `${spoken(one)}: activation ${number(one.score)}`),
          el(
            "span",
            { class: "under small" },
            one.label ? name(one.label, 40) : el("span", {}, "unlabelled"),
            el("b", {}, number(one.score)),
          ),
        ),
      ),
    );
  }

  function numbers(of, shown) {
    const images = of.probe?.images;
    const rows = [
      [
        "score",
        number(shown.score),
        [
          "What the picture as it is shown reaches on the network itself, without transforms: ",
          el("code", {}, name(shown.objective ?? "its objective", 120)),
          ".",
        ],
      ],
      ["control", number(shown.control), "The same image before the ascent: what its noise alone reaches."],
      [
        "natural",
        number(shown.natural),
        images
          ? `The strongest activation that any of ${plural(images, "natural image")} reaches.`
          : "The strongest activation that any natural image reaches; none were looked at.",
      ],
      [
        "ratio",
        ratio(shown.ratio),
        shown.ratio === null
          ? `None here: ${noRatio(shown)}.`
          : "Score divided by natural: above 1× the picture drives the unit harder than every natural image.",
      ],
      [
        "saturated",
        percent(shown.saturated),
        "Share of the picture’s colour values at the end of their range, where detail is lost.",
      ],
      ["status", status(shown.status), MEANING[shown.status] || "A status that this page does not know."],
      shown.note ? ["note", "", name(shown.note, 400)] : null,
    ].filter(Boolean);
    return el(
      "section",
      {},
      el("h2", {}, "What was measured"),
      el(
        "table",
        { class: "numbers" },
        el(
          "tbody",
          {},
          rows.map(([key, value, words]) =>
            el("tr", {}, el("th", { scope: "row" }, key), el("td", { class: "value" }, value), el("td", {}, words)),
          ),
        ),
      ),
    );
  }

  function making(shown, source, figure) {
    const plot = trace(shown);
    const rows = () => [["step", "value"], ...shown.trace];
    return el(
      "section",
      { class: "making" },
      plot
        ? saved(
            el(
              "figure",
              {},
              el("h2", {}, "The ascent"),
              plot,
              el(
                "figcaption",
                { class: "small" },
                "Seen through the random transforms of the ascent: read its shape, not its height.",
              ),
            ),
            source,
            "the ascent",
            { rows, python: figure },
          )
        : null,
      el(
        "div",
        {},
        el("h2", {}, "How it was made"),
        factList(recipe(shown)),
        command("The line of Python that makes it again", shown.python),
      ),
    );
  }

  function recipe({ recipe: facts, seed, steps }) {
    const { name: called, ...others } = facts || {};
    return { recipe: called, seed, ...others, steps };
  }

  LAYERSCOPE.unit = unit;
})();
