"use strict";
// Why a unit of a hierarchy report is called what it is called: every test with its evidence and its limits.
(() => {
  const { el, number, mark, codes, given, TESTS, tag } = LAYERSCOPE;

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

  function unitTests(row) {
    const there = TESTS.filter((test) => given(row[`${test}_passed`]));
    return el(
      "div",
      { class: "why" },
      el("h2", {}, "Why it is called that"),
      el(
        "p",
        { class: "quiet lines" },
        "The most demanding test that it passes gives the label. Evidence is in deviations of the units of random twins; to be beyond them, ",
        "a unit has to exceed all but 1% of these; to respond, beyond chance (permuted images, swapped pairs or flipped signs; 5% false ",
        "discoveries). The bars are logarithmic, and evidence is not comparable between tests.",
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

  const ANSWERS = ["evidence", "responds", "beyond_twins", "passed"];
  const rows = (row) => [
    ["test", ...ANSWERS],
    ...TESTS.map((test) => [test, ...ANSWERS.map((key) => row[`${test}_${key}`])]),
  ];

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

  const MOST = 100; // deviations; what is beyond ends in an arrow
  const bar = (value, test) =>
    el("i", {
      class: `bar-of is-${test}${value > MOST ? " is-beyond-scale" : ""}`,
      "--share": Math.min(1, Math.log1p(Math.max(0, value ?? 0)) / Math.log1p(MOST)),
      title: value > MOST ? `beyond ${MOST}, where the bars end` : null,
      "aria-hidden": "true",
    });

  Object.assign(LAYERSCOPE, { unitTests, testRows: rows });
})();
