"use strict";
// What a filter box understands, and how a layer or a table is sorted. Pure functions, without any element of the page.
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

  // One word of the filter as a test of a thing, or an error to show.
  function term(word, { numbers, test }) {
    const match = /^([a-z]+)(>=|<=|>|<|=)(.*)$/.exec(word);
    if (!match) return { test: test(word) };
    const [, name, sign, text] = match;
    if (!numbers.includes(name)) return { error: `no number is called “${name}”; there are ${numbers.join(", ")}` };
    const value = text.endsWith("%") ? parseFloat(text) / 100 : Number(text.replace(/[×x]$/, ""));
    if (text === "" || Number.isNaN(value)) return { error: `${name}${sign} wants a number, as in ${name}${sign}1.2` };
    return { test: (one) => one[name] !== null && COMPARE[sign](one[name], value) };
  }

  function unitTest(word) {
    if (/^#?\d+$/.test(word)) {
      const index = Number(word.replace("#", ""));
      return (unit) => unit.unit === index || contains(unit.label, word);
    }
    if (STATUS.includes(word)) return (unit) => unit.status === word;
    // A unit that stands for a class answers to its own label only, any other to the labels of its exemplars.
    const labels = (unit) => (unit.label ? [unit.label] : unit.exemplars.map((one) => one.label));
    return (unit) =>
      contains(unit.status, word) || contains(unit.note, word) || labels(unit).some((label) => contains(label, word));
  }

  const UNITS = { numbers: NUMBERS, test: unitTest };

  // Things that pass every word of the filter; `error` says what could not be understood.
  function filter(things, text, language = UNITS) {
    const words = text
      .toLowerCase()
      .replace(/\s*(>=|<=|>|<|=)\s*/g, "$1")
      .split(/\s+/)
      .filter(Boolean);
    const terms = words.map((word) => term(word, language));
    const error = terms.map((one) => one.error).find(Boolean) || "";
    const tests = terms.map((one) => one.test).filter(Boolean);
    return { units: things.filter((thing) => tests.every((test) => test(thing))), error };
  }

  // Things in the order of a number; those without it come last either way, and "unit" decides between equals.
  function sort(things, name, down) {
    const sign = down ? -1 : 1;
    return [...things].sort((a, b) => {
      if (a[name] === null || b[name] === null) return (a[name] === null) - (b[name] === null) || a.unit - b.unit;
      return sign * (a[name] - b[name]) || a.unit - b.unit;
    });
  }

  Object.assign(LAYERSCOPE, { NUMBERS, contains, filter, sort });
})();
