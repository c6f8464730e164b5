"use strict";
// What a leaderboard is worth: whether its measures tell the exact answer from maps that know nothing, and whether the changed scenes
// are such as the network knows.
(() => {
  const { el, name, percent, plural, short, saved, rowsOf } = LAYERSCOPE;
  const { groupedMeasures, verdictOn, measureDirection } = LAYERSCOPE;

  const known = (value) => value !== null && value !== undefined;
  const hundredths = (value) => value.toFixed(2).replace("-", "−");

  // --- measures

  const HEADS = ["Measure", "Check", "Exact beyond random", "Misses it on", "Order kept between trainings"];

  // On a telephone the table is long: there it is folded away, and opened by whoever asks for it.
  const ROOMY = window.matchMedia("(min-width: 701px)");
  ROOMY.addEventListener("change", () => document.querySelectorAll("details.fold").forEach((one) => (one.open = ROOMY.matches)));

  function trusted(board, of) {
    const judged = board.measures.filter((measure) => verdictOn(board, measure));
    if (!judged.length) return null;
    const failing = judged.filter((measure) => verdictOn(board, measure).passes === false);
    const node = LAYERSCOPE.boardSection(
      "board-trusted",
      "Can these measures be trusted?",
      [
        "Each measure is given the exact answer and a random map on networks whose causes are provable, and on the scenes the ",
        "exact answer and every map that knows nothing. One that does not find the exact answer better, or orders methods ",
        "otherwise after another training, fails, and is no headline measure. ",
        `${failing.length || "None"} of ${plural(judged.length, "measure")} ${failing.length > 1 ? "fail" : "fails"}.`,
      ],
      el(
        "details",
        { class: "fold", open: ROOMY.matches },
        el("summary", {}, `What ${plural(judged.length, "check")} found`),
        checks(board, judged),
      ),
    );
    const flat = judged.map((measure) => {
      const { passes, apart, told, missed, level, stable } = verdictOn(board, measure);
      const ends = { apart: apart?.value, apart_low: apart?.low, apart_high: apart?.high };
      return { measure: measure.name, passes, ...ends, told, missed, level, stable };
    });
    return saved(node, of, "checks of the measures", { rows: () => rowsOf(flat) });
  }

  const checks = (board, judged) =>
    el(
      "table",
      { class: "trust-table", "aria-label": `Checks of the measures, ${short(board.title, 80)}` },
      el("thead", {}, el("tr", {}, HEADS.map((words) => el("th", { scope: "col" }, words)))),
      groupedMeasures(judged).map(([group, , found]) => body(board, group, found)),
    );

  const body = (board, group, found) =>
    el(
      "tbody",
      {},
      el("tr", { class: "group" }, el("th", { scope: "rowgroup", colspan: 5 }, group)),
      found.map((measure) => line(board, measure)),
    );

  const VERDICTS = { true: ["✓", "passes"], false: ["✕", "fails"], null: ["", "not checked"] };

  function line(board, measure) {
    const { passes, apart, missed, level, stable, words } = verdictOn(board, measure);
    const [mark, verdict] = VERDICTS[passes];
    const where = [...missed.map((one) => tierTitle(board, one)), ...level.map((one) => `scenes: ${one}`)].join(", ");
    return el(
      "tr",
      { class: passes === false ? "is-failing" : null, "data-measure": measure.name },
      el("th", { scope: "row" }, name(measure.title, 60), ` ${measureDirection(measure)}`),
      el(
        "td",
        { class: "check-of" },
        el("b", {}, mark ? el("span", { "aria-hidden": "true" }, `${mark} `) : null, verdict),
        el("span", { class: "small" }, name(words, 400)),
      ),
      el("td", { "data-head": "Exact beyond random" }, apart ? numbers(apart, hundredths) : "–"),
      el("td", { "data-head": "Misses it on" }, where ? name(where, 400) : passes === null ? "–" : "none"),
      el("td", { class: "number", "data-head": "Order kept" }, known(stable) ? hundredths(stable) : "–"),
    );
  }

  const tierTitle = ({ tiers }, key) => tiers.find((one) => one.tier === key)?.title ?? key;

  const numbers = (interval, write) =>
    el(
      "span",
      { class: "numbers-of" },
      el("b", {}, write(interval.value)),
      known(interval.low) && interval.low !== interval.high
        ? el("span", { class: "small" }, `${write(interval.low)} to ${write(interval.high)}`)
        : null,
    );

  // --- scenes

  const SHARES = [
    ["probability", "probability of the class"],
    ["same", "keeps its label"],
    ["unlike", "unlike any known scene"],
  ];

  function familiar(board, of) {
    const { familiar: changes } = board;
    if (!changes.length) return null;
    const kinds = [
      ["Rendered again", changes.filter((one) => one.natural)],
      ["For comparison", changes.filter((one) => !one.natural)],
    ].filter(([, found]) => found.length);
    const node = LAYERSCOPE.boardSection(
      "board-familiar",
      "Are these scenes in distribution?",
      [
        "What is done to find the causes must leave scenes that the network knows: how sure it is of the class, how often it ",
        "keeps its label, and how often its activations lie beyond those of scenes that it knows.",
      ],
      el(
        "table",
        { class: "familiar-table", "aria-label": `How familiar changed scenes are, ${short(board.title, 80)}` },
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Change"), SHARES.map(([, words]) => el("th", { scope: "col" }, words)))),
        kinds.map(([title, found]) =>
          el("tbody", {}, el("tr", { class: "group" }, el("th", { scope: "rowgroup", colspan: 4 }, title)), found.map(change)),
        ),
      ),
    );
    const flat = changes.map((one) => ({
      ...{ change: one.change, natural: one.natural, scenes: one.scenes },
      ...Object.fromEntries(SHARES.flatMap(([key]) => ends(key, one[key]))),
    }));
    return saved(node, of, "familiar scenes", { rows: () => rowsOf(flat) });
  }

  const ends = (key, interval) => [
    [key, interval?.value],
    [`${key}_low`, interval?.low],
    [`${key}_high`, interval?.high],
  ];

  const change = (one) =>
    el(
      "tr",
      { class: one.natural ? "is-natural" : "is-hole", "data-change": one.change },
      el("th", { scope: "row" }, name(one.title, 80), el("span", { class: "small" }, plural(one.scenes, "scene"))),
      SHARES.map(([key, words]) => el("td", { "data-head": words }, one[key] ? share(one[key]) : "–")),
    );

  const share = (interval) => [
    el("span", { class: "track", "aria-hidden": "true" }, el("i", { "--share": Math.min(1, Math.max(0, interval.value)) })),
    numbers(interval, percent),
  ];

  Object.assign(LAYERSCOPE, { trustedMeasures: trusted, familiarScenes: familiar });
})();
