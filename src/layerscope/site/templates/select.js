"use strict";
// What the filter box understands, and how a layer is sorted. Pure functions, without any element of the page.
(() => {
  const NUMBERS = ["unit", "ratio", "score", "control", "natural", "saturated"];
  const STATUS = ["converged", "weak", "dead"];
  const COMPARE = {
    ">": (a, b) => a > b,
    ">=": (a, b) => a >= b,
    "<": (a, b) => a < b,
    "<=": (a, b) => a <= b,
    "=": (a, b) => a === b,
  };

  const contains = (text, word) =>
    String(text || "")
      .toLowerCase()
      .includes(word);

  // One word of the filter as a test of a unit, or an error to show.
  function term(word) {
    const match = /^([a-z]+)(>=|<=|>|<|=)(.*)$/.exec(word);
    if (!match) return wordTerm(word);
    const [, name, sign, text] = match;
    if (!NUMBERS.includes(name)) return { error: `no number is called “${name}”; there are ${NUMBERS.join(", ")}` };
    const value = text.endsWith("%") ? parseFloat(text) / 100 : Number(text.replace(/[×x]$/, ""));
    if (text === "" || Number.isNaN(value)) return { error: `${name}${sign} wants a number, as in ${name}${sign}1.2` };
    return { test: (unit) => unit[name] !== null && COMPARE[sign](unit[name], value) };
  }

  function wordTerm(word) {
    if (/^#?\d+$/.test(word)) {
      const index = Number(word.replace("#", ""));
      return { test: (unit) => unit.unit === index || contains(unit.label, word) };
    }
    if (STATUS.includes(word)) return { test: (unit) => unit.status === word };
    // A unit that stands for a class answers to its own label only, any other to the labels of its exemplars.
    const labels = (unit) => (unit.label ? [unit.label] : unit.exemplars.map((one) => one.label));
    return {
      test: (unit) =>
        contains(unit.status, word) || contains(unit.note, word) || labels(unit).some((label) => contains(label, word)),
    };
  }

  // Units that pass every word of the filter; `error` says what could not be understood.
  function filter(units, text) {
    const words = text
      .toLowerCase()
      .replace(/\s*(>=|<=|>|<|=)\s*/g, "$1")
      .split(/\s+/)
      .filter(Boolean);
    const terms = words.map(term);
    const error = terms.map((one) => one.error).find(Boolean) || "";
    const tests = terms.map((one) => one.test).filter(Boolean);
    return { units: units.filter((unit) => tests.every((test) => test(unit))), error };
  }

  // Units in the order of a number; units without it come last either way.
  function sort(units, name, down) {
    const sign = down ? -1 : 1;
    return [...units].sort((a, b) => {
      if (a[name] === null || b[name] === null) return (a[name] === null) - (b[name] === null) || a.unit - b.unit;
      return sign * (a[name] - b[name]) || a.unit - b.unit;
    });
  }

  Object.assign(LAYERSCOPE, { NUMBERS, filter, sort });
})();
