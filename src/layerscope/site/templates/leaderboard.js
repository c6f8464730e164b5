"use strict";
// The leaderboard: of each network a table of attribution methods, measured on scenes whose causes are known, with the
// controls pinned above. One measure is drawn and sorted by at a time; it belongs to the address, as ?by=measure.
(() => {
  const { el, name, encoded, number, percent, plural, images, imageAddress, saved, rowsOf } = LAYERSCOPE;
  const { scaleOfMeasure, intervalBar, intervalAxis, intervalKey, intervalWords, measureDirection } = LAYERSCOPE;
  const boards = LAYERSCOPE.data.index.leaderboards ?? [];
  const FIRST = "part_rank";
  const AGAINST = {
    better: "better than random, not than every control",
    overlaps: "not told apart from random",
    worse: "worse than random",
  };
  const WAY = { high: "higher is better", low: "lower is better" };

  const known = (value) => value !== null && value !== undefined;
  const boardAddress = (method) => `#/leaderboard${method ? `?method=${encoded(method)}` : ""}`;

  function leaderboard(view, remember) {
    if (view.get("method")) setTimeout(seek, 0); // after the page has scrolled to where it was, or to its top
    return {
      title: "Leaderboard",
      trail: [["leaderboard", boardAddress()]],
      content: boards.length ? [head(), ...content(view, remember)] : [head(), nothing()],
    };
  }

  const seek = () => document.querySelector(".board-table .is-wanted")?.scrollIntoView({ block: "center" });

  const head = () =>
    el(
      "header",
      { class: "head" },
      el("h1", {}, "Which explanations are right"),
      el(
        "p",
        { class: "lead" },
        "Scenes were rendered again without each part of their thing, which shows what each part truly does to the ",
        "predicted class. A map is right as far as it says the same. Maps that know nothing of the network are pinned ",
        "on top: what does not beat them explains nothing.",
      ),
    );

  const nothing = () =>
    el(
      "section",
      {},
      el("p", {}, "No leaderboard lies in this folder. This makes one:"),
      el("pre", {}, el("code", {}, "layerscope benchmark attribution --truth --out FOLDER")),
    );

  function content(view, remember) {
    const measures = boards[0].measures;
    const state = { view, remember, drawn: [] };
    state.choice = el("div", { class: "chosen-measure" });
    for (const board of boards) state.drawn.push(table(board, state));
    const sections = boards.map((board, place) => section(board, state.drawn[place].node));
    draw(state);
    return [chooser(measures, state), intervalKey(), ...sections];
  }

  const chosen = ({ view }, measures) =>
    measures.find((one) => one.name === view.get("by")) ?? measures.find((one) => one.name === FIRST) ?? measures[0];

  function choose(state, measure, turn) {
    const same = chosen(state, boards[0].measures).name === measure.name;
    const up = same && turn ? state.view.get("worst") !== "1" : false;
    if (measure.name === FIRST) state.view.delete("by");
    else state.view.set("by", measure.name);
    if (up) state.view.set("worst", "1");
    else state.view.delete("worst");
    state.remember(state.view, false);
    draw(state);
  }

  function draw(state) {
    const measure = chosen(state, boards[0].measures);
    for (const one of state.drawn) one.draw(chosen(state, one.board.measures), state.view.get("worst") === "1");
    for (const input of state.inputs ?? []) input.checked = input.value === measure.name;
    state.choice.replaceChildren(
      el("b", {}, `${measure.title}, ${WAY[measure.better]}. `),
      name(measure.words, 400),
    );
  }

  // For telephones, where the table has room for one measure, and for everybody: what is drawn, and what it is.
  function chooser(measures, state) {
    state.inputs = measures.map((measure) =>
      el("input", {
        type: "radio",
        name: "by",
        id: `by-${measure.name}`,
        value: measure.name,
        checked: measure === chosen(state, measures),
        onchange: () => choose(state, measure, false),
      }),
    );
    const labels = measures.map((measure, place) =>
      el("label", {}, state.inputs[place], el("span", {}, measure.title, " ", measureDirection(measure))),
    );
    return el(
      "section",
      { class: "measure-choice" },
      el("fieldset", { class: "switch" }, el("legend", {}, "Drawn and sorted by"), labels),
      state.choice,
    );
  }

  function section(board, drawn) {
    const { scenes } = board;
    const left = scenes.asked - scenes.telling;
    const facts = [
      `${plural(scenes.telling, "scene")} that no bundled network was trained on`,
      left ? `${left} more left out: fewer than three parts seen, or all of one effect` : null,
      known(scenes.accuracy) ? `${percent(scenes.accuracy)} of them named rightly` : "classes that are not the scenes'",
      board.complete ? null : `being measured: ${board.rows.filter((row) => !row.control).length} of ${board.asked} methods so far`,
    ];
    const of = { names: [board.title, "leaderboard"], seed: board.seed, key: board.key, command: board.command };
    return el(
      "section",
      { class: "board", id: `board-${board.slug}` },
      saved(
        el(
          "div",
          {},
          el("h2", {}, name(board.title, 80)),
          el("p", { class: "summary" }, facts.filter(Boolean).map((one) => el("span", {}, one))),
        ),
        of,
        "leaderboard",
        { rows: () => rowsFor(board), python: board.python },
      ),
      el("ul", { class: "reading" }, board.reading.map((sentence) => el("li", {}, name(sentence, 1200)))),
      drawn,
      refused(board),
      board.command ? LAYERSCOPE.command("The line of Python that makes it again", board.command) : null,
    );
  }

  const refused = (board) =>
    board.refused.length
      ? el(
          "div",
          { class: "refused" },
          el("h3", {}, `${plural(board.refused.length, "method")} refused`),
          el("dl", {}, board.refused.map((one) => [el("dt", {}, name(one.title, 60)), el("dd", {}, name(one.error, 400))])),
        )
      : null;

  // All numbers of a board, for a table to save.
  function rowsFor(board) {
    const flat = board.rows.map((row) => ({
      method: row.method,
      control: row.control,
      against_random: row.against,
      ...Object.fromEntries(
        board.measures.flatMap(({ name: key }) => [
          [key, row[key]?.value],
          [`${key}_low`, row[key]?.low],
          [`${key}_high`, row[key]?.high],
        ]),
      ),
    }));
    return rowsOf(flat);
  }

  // --- the table

  function table(board, state) {
    const { measures, rows } = board;
    const controls = Object.fromEntries(rows.filter((row) => row.control).map((row) => [row.method, row]));
    const heads = measures.map((measure) =>
      el(
        "th",
        { scope: "col", class: `number of-${measure.name}`, "data-key": measure.name },
        el(
          "button",
          { type: "button", class: "sorter", title: measure.words, onclick: () => choose(state, measure, true) },
          `${measure.title} ${measureDirection(measure)}`,
          el("i", { "aria-hidden": "true" }),
        ),
      ),
    );
    const plotted = el("th", { scope: "col", class: "plotted" });
    const bodies = [el("tbody", { class: "pinned" }), el("tbody", {})];
    const node = el(
      "div",
      { class: "board-table" },
      el(
        "table",
        { "aria-label": `Attribution methods on ${LAYERSCOPE.short(board.title, 80)}` },
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Method"), plotted, heads)),
        bodies,
      ),
    );
    function redraw(measure, worst) {
      const scale = scaleOfMeasure(measure, rows);
      const sorted = [...rows].sort(order(measure, worst));
      const line = (row) => rowOf(board, row, measure, scale, controls, state.view.get("method"));
      plotted.replaceChildren(el("span", { class: "unseen" }, measure.title), intervalAxis(scale));
      bodies[0].replaceChildren(...rows.filter((row) => row.control).map(line));
      bodies[1].replaceChildren(...sorted.filter((row) => !row.control).map(line));
      for (const one of heads) {
        const own = one.dataset.key === measure.name;
        const down = (measure.better === "high") !== worst;
        one.setAttribute("aria-sort", own ? (down ? "descending" : "ascending") : "none");
        one.classList.toggle("is-chosen", own);
      }
    }
    return { board, node, draw: redraw };
  }

  // The best first, or the worst; what was not measured comes last either way.
  const order =
    ({ name: key, better }, worst) =>
    (a, b) => {
      if (!known(a[key]) || !known(b[key])) return known(b[key]) - known(a[key]);
      const way = (better === "high") !== worst ? -1 : 1;
      return way * (a[key].value - b[key].value);
    };

  function rowOf(board, row, measure, scale, controls, wanted) {
    const mark = row.method === wanted;
    return el(
      "tr",
      { class: `${row.control ? "is-control" : `is-${row.against}`}${mark ? " is-wanted" : ""}`, "data-method": row.method },
      el(
        "th",
        { scope: "row" },
        el("span", { class: "title" }, name(row.title, 60)),
        row.control ? null : el("span", { class: "small" }, measure.name === FIRST ? null : "by part rank ", against(row)),
        row.control ? null : shownWith(board, row.method),
      ),
      el("td", { class: "plotted" }, intervalBar(measure, row, scale, controls)),
      board.measures.map((one) => {
        const chosenOne = one.name === measure.name ? " is-chosen" : "";
        return el("td", { class: `number of-${one.name}${chosenOne}`, "data-head": one.title }, value(row[one.name]));
      }),
    );
  }

  const value = (interval) =>
    known(interval)
      ? [el("b", {}, number(interval.value)), el("span", { class: "small" }, intervalWords(interval))]
      : "–";

  const against = (row) => (row.beats ? "better than every control" : (AGAINST[row.against] ?? "not measured"));

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

  // --- from the maps of images back to their method

  // A line that says how the method did on the network of an image; null where no leaderboard knows it.
  function standing(image, method) {
    const board = boards.find((one) => one.network.fingerprint && one.network.fingerprint === image.fingerprint);
    const row = board?.rows.find((one) => one.method === method && !one.control);
    if (!row || !known(row.part_rank)) return null;
    const place = `place ${row.rank} of ${board.rows.filter((one) => !one.control).length} methods`;
    return el(
      "p",
      { class: "standing-of" },
      `On ${plural(board.scenes.telling, "scene")} with known causes its part rank is `,
      el("b", {}, number(row.part_rank.value)),
      ` (${intervalWords(row.part_rank) || "every time"}), ${against(row)}: `,
      el("a", { href: boardAddress(method) }, place),
      ".",
    );
  }

  Object.assign(LAYERSCOPE, { leaderboard, boards, boardAddress, methodStanding: standing });
})();
