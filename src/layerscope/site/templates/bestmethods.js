"use strict";
// The first page's view of the leaderboards: the best methods of each network, between the maps that know nothing.
(() => {
  const { el, name, number, plural, boards, boardAddress, firstMeasure } = LAYERSCOPE;
  const { scaleOfMeasure, intervalBar, intervalAxis, intervalWords } = LAYERSCOPE;
  const BEST = 3;
  const BESIDE = ["edges", "random"];

  // A section, or null where no leaderboard of this folder has anything to tell.
  function bestMethods() {
    const same = (one, other) => one.network.name === other.network.name && one.truth === other.truth;
    const told = boards.filter(firstMeasure);
    const shown = told.filter((board, place) => place === told.findIndex((one) => same(one, board)));
    if (!shown.length) return null;
    return el(
      "section",
      { class: "best-methods" },
      el("h2", {}, el("a", { href: boardAddress() }, "Which explanations are right")),
      el(
        "p",
        { class: "quiet lines" },
        "How well the maps of each method agree with what the parts of rendered scenes truly do, beside maps that know nothing ",
        "of the network.",
      ),
      el("div", { class: "best-of" }, shown.map(bestOf)),
      el("p", { class: "more" }, el("a", { href: boardAddress() }, "All methods and measures →")),
    );
  }

  function bestOf(board) {
    const measure = firstMeasure(board);
    const controls = Object.fromEntries(board.rows.filter((row) => row.control).map((row) => [row.method, row]));
    const methods = board.rows.filter((row) => !row.control);
    const way = measure.better === "high" ? -1 : 1;
    const known = methods.filter((row) => row[measure.name]);
    const best = known.sort((a, b) => way * (a[measure.name].value - b[measure.name].value)).slice(0, BEST);
    const shown = [...best, ...BESIDE.map((one) => controls[one]).filter(Boolean)];
    const scale = scaleOfMeasure(measure, shown);
    return el(
      "div",
      { class: "best" },
      el(
        "h3",
        {},
        el("a", { href: boardAddress(null, board) }, name(board.title, 80)),
        el("span", { class: "small" }, ` ${measure.title}`),
      ),
      el("ol", { class: "intervals" }, shown.map((row) => line(board, row, measure, scale, controls))),
      el("div", { class: "under-intervals" }, intervalAxis(scale)),
      el("p", { class: "small" }, beating(board, methods)),
    );
  }

  function beating(board, methods) {
    if (!board.truth) return `By ${firstMeasure(board).title}; nobody knows the causes in these images.`;
    const count = methods.filter((row) => row.beats).length;
    const of = `${plural(methods.length, "method")} on ${plural(board.scenes.telling, "scene")}`;
    return `${count || "None"} of ${of} ${count > 1 ? "are" : "is"} better than every control.`;
  }

  const line = (board, row, measure, scale, controls) =>
    el(
      "li",
      { class: row.control ? "is-control" : null },
      el("span", {}, row.control ? name(row.title, 40) : el("a", { href: boardAddress(row.method, board) }, name(row.title, 40))),
      intervalBar(measure, row, scale, controls),
      numbers(row[measure.name]),
    );

  const numbers = (interval) =>
    el(
      "span",
      { class: "number" },
      interval ? [el("b", {}, number(interval.value)), el("span", { class: "small" }, ` ${intervalWords(interval)}`)] : "–",
    );

  LAYERSCOPE.bestMethods = bestMethods;
})();
