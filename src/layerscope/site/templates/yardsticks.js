"use strict";
// The measures of a leaderboard: their groups, their order, whether they can be trusted, and how their numbers are written.
(() => {
  const { el, name, number } = LAYERSCOPE;
  const BY_CAUSES = [
    ...["density_rank", "part_rank", "shapley_rank", "cosine", "preservation", "deletion_check", "sufficient"],
    ...["target", "swap", "background"],
  ];
  const BY_MASKS = ["mass", "pointing", "distractors", "independence", "shortcut", "contrast"];
  const BY_CURVES = ["deletion", "insertion", "deletion_black", "insertion_black"];
  const BY_RESPONSE = ["infidelity", "infidelity_blur", "max_sensitivity", "redrawn"];
  const BY_COST = ["seconds"];
  const GROUPS = [
    ["by causes", "what each part truly does to the class", BY_CAUSES],
    ["by masks", "where the thing, its distractors and planted marks are", BY_MASKS],
    ["by curves", "what the score does as pixels go", BY_CURVES],
    ["by response", "what the map does as image or network change", BY_RESPONSE],
    ["by cost", "what it takes", BY_COST],
    ["others", "that this page does not know", []],
  ];
  const LOGARITHMIC = ["seconds"];
  const DIRECTION = { high: "↑", low: "↓" };
  const WAY = { high: "higher is better", low: "lower is better" };

  const known = (value) => value !== null && value !== undefined;

  const groupOf = (measure) => GROUPS.find(([, , names]) => names.includes(measure.name))?.[0] ?? "others";

  // Measures as [group, words, measures], empty groups left out; within a group as the leaderboard has them.
  const grouped = (measures) =>
    GROUPS.map(([group, words]) => [group, words, measures.filter((one) => groupOf(one) === group)]).filter(
      ([, , found]) => found.length,
    );

  // What a leaderboard is ordered by unless somebody says otherwise; null where nothing could be measured.
  const firstMeasure = ({ measures, first }) => measures.find((one) => one.name === first) ?? null;

  const headlines = ({ measures }) => measures.filter((one) => one.headline);
  const verdictOn = (board, measure) => board.meta.find((one) => one.measure === measure.name);
  const fails = (board, measure) => verdictOn(board, measure)?.passes === false;

  // How the numbers of a measure are written: with as many digits as tell these rows apart.
  function writerOf(measure, rows) {
    if (LOGARITHMIC.includes(measure.name)) return (value) => (value ? String(+value.toPrecision(2)) : "0");
    const values = rows.map((row) => row[measure.name]?.value).filter(known);
    const span = Math.max(...values) - Math.min(...values);
    if (!(span > 0) || span >= 1e4 || span < 1e-3) return number;
    const digits = Math.max(0, Math.min(4, Math.floor(2.6 - Math.log10(span))));
    return (value) => value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
  }

  const wordsId = (measure) => `words-of-${LAYERSCOPE.fileSlug([measure.name])}`;

  // What each measure is, by group, and what is wrong with it.
  const legend = (board, measures) =>
    el(
      "div",
      { class: "yardsticks" },
      grouped(measures).map(([group, words, found]) =>
        el(
          "section",
          {},
          el("h4", {}, group, el("span", { class: "small" }, ` ${words}`)),
          el("dl", {}, found.map((measure) => entry(board, measure))),
        ),
      ),
    );

  const entry = (board, measure) => [
    el(
      "dt",
      {},
      name(measure.title, 60),
      " ",
      el("span", { class: "small" }, `${DIRECTION[measure.better]} ${WAY[measure.better]}`),
    ),
    el("dd", { id: wordsId(measure) }, name(measure.words, 600), fails(board, measure) ? failing(board, measure) : null),
  ];

  const failing = (board, measure) =>
    el("span", { class: "failing" }, el("b", {}, " Fails its check: "), name(verdictOn(board, measure).words, 400));

  Object.assign(LAYERSCOPE, { groupedMeasures: grouped, firstMeasure, headlines, verdictOn, failsCheck: fails, writerOf });
  Object.assign(LAYERSCOPE, { measureLegend: legend, measureWordsId: wordsId, failingWords: failing, LOGARITHMIC });
  Object.assign(LAYERSCOPE, { measureDirection: ({ better }) => DIRECTION[better], measureWay: ({ better }) => WAY[better] });
})();
