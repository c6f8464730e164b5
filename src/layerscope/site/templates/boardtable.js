"use strict";
// The table of a leaderboard: attribution methods by measures, each number with its interval, sorted by any of them, the
// controls pinned above. The order and whether all measures are shown belong to the address.
(() => {
  const { el, name, short, plural, images, imageAddress, saved, rowsOf } = LAYERSCOPE;
  const { scaleOfMeasure, cellBar, intervalKey, measureDirection, measureWay, measureWordsId, measureLegend } = LAYERSCOPE;
  const { groupedMeasures, firstMeasure, headlines, failsCheck, failingWords, writerOf, forestPlot } = LAYERSCOPE;
  const AGAINST = {
    better: "better than random only",
    overlaps: "not told apart from random",
    worse: "worse than random",
  };

  const known = (value) => value !== null && value !== undefined;

  // How a method stands by the first measure; null where nothing was compared.
  const standing = (row) => (row.beats ? "better than every control" : (AGAINST[row.against_random] ?? null));

  // Everything below changes with the state of the page: what is shown, and by what it is sorted.
  function table(board, of, view, remember) {
    const state = { board, view, remember };
    state.said = el("p", { class: "chosen-measure" });
    state.frame = LAYERSCOPE.boardFrame(`Methods by measures, ${short(board.title, 80)}`, "board-table");
    state.words = el("div", {});
    const node = el(
      "section",
      { class: "board-methods" },
      el("h3", { tabindex: "-1" }, "Methods by measures"),
      switchOf(state),
      state.said,
      state.frame,
      intervalKey(),
      state.words,
    );
    draw(state);
    return saved(node, of, "methods by measures", {
      plots: () => [forestPlot(ordered(state).rows, measuresShown(state), controlsOf(board), writersOf(board))],
      rows: () => rowsFor(board),
      python: board.python.leaderboard,
    });
  }

  const controlsOf = (board) => Object.fromEntries(board.rows.filter((row) => row.control).map((row) => [row.method, row]));
  const writersOf = (board) => Object.fromEntries(board.measures.map((one) => [one.name, writerOf(one, board.rows)]));

  const firstShown = (board) => firstMeasure(board) ?? board.measures[0];
  const sortedBy = ({ board, view }) => board.measures.find((one) => one.name === view.get("by")) ?? firstShown(board);

  // The headline, unless all are asked for or the order is by another one.
  function showsAll(state) {
    const chosen = headlines(state.board);
    return state.view.get("all") === "1" || !chosen.length || !sortedBy(state).headline;
  }

  const measuresShown = (state) =>
    groupedMeasures(showsAll(state) ? state.board.measures : headlines(state.board)).flatMap(([, , found]) => found);

  function set(state, changes) {
    for (const [key, value] of Object.entries(changes)) {
      if (value) state.view.set(key, value);
      else state.view.delete(key);
    }
    state.remember(state.view, false);
    draw(state);
  }

  function switchOf(state) {
    const { board } = state;
    const [some, all] = [headlines(board).length, board.measures.length];
    if (!some || some === all) return null;
    const by = () => (sortedBy(state).headline ? state.view.get("by") : null);
    const choice = (words, value) =>
      el(
        "label",
        {},
        el("input", {
          type: "radio",
          name: "measures",
          value: value ?? "headline",
          checked: showsAll(state) === Boolean(value),
          onchange: () => set(state, { all: value, ...(value ? {} : { by: by() }) }),
        }),
        el("span", {}, words),
      );
    return el(
      "fieldset",
      { class: "switch" },
      el("legend", { class: "unseen" }, "Measures shown"),
      choice(`${plural(some, "headline measure")}`, null),
      choice(`All ${all} measures`, "1"),
    );
  }

  // A second press on a head turns the order round.
  function sort(state, measure) {
    const same = sortedBy(state).name === measure.name;
    const worst = same && state.view.get("worst") !== "1";
    const by = measure.name === firstShown(state.board).name ? null : measure.name;
    set(state, { by, worst: worst ? "1" : null, all: showsAll(state) ? "1" : null });
  }

  // The best first, or the worst; what was not measured comes last either way.
  function ordered(state) {
    const [measure, worst] = [sortedBy(state), state.view.get("worst") === "1"];
    const way = (measure.better === "high") !== worst ? -1 : 1;
    const order = ({ [measure.name]: a }, { [measure.name]: b }) =>
      known(a) && known(b) ? way * (a.value - b.value) : known(b) - known(a);
    const [controls, methods] = [true, false].map((is) => state.board.rows.filter((row) => row.control === is));
    return { rows: [...controls, ...methods.sort(order)], down: way < 0 };
  }

  function draw(state) {
    const { board, frame } = state;
    const [measures, sorted, focused] = [measuresShown(state), sortedBy(state), document.activeElement?.closest("th")?.dataset.key];
    const { rows, down } = ordered(state);
    const drawn = { measures, sorted, controls: controlsOf(board), write: writersOf(board) };
    drawn.scales = Object.fromEntries(measures.map((one) => [one.name, scaleOfMeasure(one, board.rows)]));
    const body = (kind, is) =>
      el("tbody", { class: kind }, rows.filter((row) => row.control === is).map((row) => line(state, row, drawn)));
    frame.replaceChildren(
      el(
        "table",
        { "aria-label": `Attribution methods, ${short(board.title, 80)}`, "--columns": measures.length },
        heads(state, drawn, down),
        body("pinned", true),
        body(null, false),
      ),
    );
    state.words.replaceChildren(measureLegend(board, measures));
    say(state, sorted);
    LAYERSCOPE.fitFrame(frame);
    if (focused) frame.querySelector(`th[data-key="${CSS.escape(focused)}"] button`)?.focus({ preventScroll: true });
  }

  // What a measure is: the one under the pointer or the focus, else the one that the table is sorted by.
  function say(state, measure) {
    const failing = failsCheck(state.board, measure) ? failingWords(state.board, measure) : null;
    const title = el("b", {}, `${measure.title}, ${measureWay(measure)}. `);
    state.said.replaceChildren(...[title, name(measure.words, 400), failing].filter(Boolean));
  }

  function heads(state, { measures, sorted }, down) {
    const groups = groupedMeasures(measures).map(([group, , found]) =>
      el("th", { scope: "colgroup", colspan: found.length, class: "group" }, el("span", {}, group)),
    );
    const head = (measure) => {
      const own = measure.name === sorted.name;
      const failing = failsCheck(state.board, measure);
      const [tell, untell] = [() => say(state, measure), () => say(state, sortedBy(state))];
      return el(
        "th",
        {
          ...{ scope: "col", "data-key": measure.name, class: `measure${own ? " is-chosen" : ""}${failing ? " is-failing" : ""}` },
          ...{ "aria-sort": own ? (down ? "descending" : "ascending") : "none", onmouseenter: tell, onmouseleave: untell },
        },
        el(
          "button",
          {
            ...{ type: "button", class: "sorter", onfocus: tell, onblur: untell, onclick: () => sort(state, measure) },
            "aria-describedby": measureWordsId(measure),
          },
          `${measure.title} `,
          el("span", {}, measureDirection(measure), el("i", { "aria-hidden": "true" })),
        ),
        failing ? el("span", { class: "fails" }, "fails its check") : null,
      );
    };
    return el(
      "thead",
      {},
      el("tr", {}, el("td", { class: "corner" }), groups),
      el("tr", {}, el("th", { scope: "col", class: "first" }, "Method", standsBy(state.board)), measures.map(head)),
    );
  }

  const standsBy = (board) =>
    firstMeasure(board) && board.rows.some((row) => !row.control && standing(row))
      ? el("span", { class: "small" }, ` and where it stands by ${firstMeasure(board).title}`)
      : null;

  function line(state, row, { measures, sorted, scales, controls, write }) {
    const wanted = row.method === state.view.get("method") ? "is-wanted" : null;
    return el(
      "tr",
      { class: [row.control ? "is-control" : null, wanted].filter(Boolean).join(" ") || null, "data-method": row.method },
      el(
        "th",
        { scope: "row" },
        el("span", { class: "title" }, name(row.title, 60)),
        row.control || !standing(row) ? null : el("span", { class: "small" }, standing(row)),
        row.control ? null : shownWith(state.board, row.method),
      ),
      measures.map((one) =>
        el(
          "td",
          { class: `value-of${one === sorted ? " is-chosen" : ""}`, "data-key": one.name },
          known(row[one.name]) ? numbers(row[one.name], write[one.name], cellBar(one, row, scales[one.name], controls)) : "–",
        ),
      ),
    );
  }

  const numbers = ({ value, low, high }, write, bar) =>
    el(
      "span",
      { class: "numbers-of" },
      el("b", {}, write(value)),
      bar,
      known(low) && low !== high ? el("span", { class: "small" }, `${write(low)} to ${write(high)}`) : null,
    );

  // The images that this method explained: those of this network, or of any where it explained none.
  function shownWith(board, method) {
    const found = images
      .map((image) => [image, (image.methods ?? []).find((one) => one[1] === method)])
      .filter(([, asked]) => asked);
    const own = found.filter(([image]) => image.fingerprint === board.network.fingerprint);
    const listed = own.length ? own : found;
    if (!listed.length) return null;
    const links = listed.map(([image, [question]]) =>
      el("li", {}, el("a", { href: imageAddress(image, question, method) }, name(image.title, 60))),
    );
    return el("details", { class: "shown-with" }, el("summary", {}, plural(listed.length, "map")), el("ul", {}, links));
  }

  // All numbers of a board, for a table to save.
  function rowsFor(board) {
    const ends = (row) => ({ name: key }) => [
      [key, row[key]?.value],
      [`${key}_low`, row[key]?.low],
      [`${key}_high`, row[key]?.high],
    ];
    const flat = board.rows.map((row) => ({
      ...{ method: row.method, control: row.control, against_random: row.against_random },
      ...Object.fromEntries(board.measures.flatMap(ends(row))),
    }));
    return rowsOf(flat);
  }

  Object.assign(LAYERSCOPE, { boardTable: table, controlsOf, standingOf: standing });
})();
