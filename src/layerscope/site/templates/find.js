"use strict";
// What a search finds among all that can be found. Pure functions, without any element of the page.
(() => {
  const KINDS = ["units", "layers", "classes", "concepts", "networks", "images", "reports", "methods", "pages"];

  // 3 the whole text, 2 its beginning, 1 the beginning of one of its words, 0 anywhere, null nowhere.
  function closeness(text, words) {
    let least = 3;
    for (const word of words) {
      const at = text.indexOf(word);
      if (at < 0) return null;
      const starts = at === 0 || /[^\p{L}\p{N}]/u.test(text[at - 1]);
      least = Math.min(least, text.length === word.length ? 3 : at === 0 ? 2 : starts ? 1 : 0);
    }
    return least;
  }

  // The words of a query; the number of a unit counts for units alone, also behind the colon of "conv3:26".
  function parse(query) {
    const words = query
      .toLowerCase()
      .replace(/:\s*#?(\d{1,9})$/, " #$1")
      .split(/\s+/)
      .filter(Boolean);
    const numbers = words.filter((word) => /^#?\d{1,9}$/.test(word));
    const unit = numbers.length ? Number(numbers[numbers.length - 1].replace("#", "")) : null;
    const last = numbers[numbers.length - 1];
    const others = words.filter((word, place) => !(word === last && place === words.lastIndexOf(last)));
    return { words, unit, others };
  }

  function numbered(blocks, { unit, others }) {
    return blocks.flatMap((block) => {
      const place = others.every((word) => block.text.includes(word)) ? block.placeOf(unit) : -1;
      if (place < 0) return [];
      const near = others.length && block.name !== others.join(" ") ? 1 : 3;
      return [{ near, made: () => block.entry(place) }];
    });
  }

  // Units of reports that code what is asked for; words that name the layer or the network narrow it.
  function coding({ coded, concepts }, words) {
    const matching = new Map();
    const codes = (left) => {
      const key = left.join(" ");
      if (!matching.has(key))
        matching.set(
          key,
          concepts.map((concept) => left.every((word) => concept.includes(word))),
        );
      return matching.get(key);
    };
    const found = [];
    for (const block of coded) {
      const left = words.filter((word) => !block.text.includes(word));
      if (!left.length) continue;
      const passed = codes(left);
      block.columns.concepts.forEach((concept, unit) => {
        if (concept !== null && passed[concept])
          found.push({ near: 0, by: block.columns.confidence[unit] ?? -1, made: () => block.entry(unit) });
      });
    }
    return found.sort((a, b) => b.by - a.by);
  }

  // By kind what is found, the closest first: [{kind, total, found}], at most `most` of each.
  function find(prepared, query, most) {
    const asked = parse(query);
    if (!asked.words.length) return [];
    const all = new Map(KINDS.map((kind) => [kind, []]));
    for (const one of prepared.entries) {
      const near = closeness(one.text, asked.words);
      if (near !== null) all.get(one.kind).push({ near, made: () => one });
    }
    if (asked.unit !== null) all.get("units").push(...numbered([...prepared.made, ...prepared.coded], asked));
    else all.get("units").push(...coding(prepared, asked.words));
    return KINDS.map((kind) => [kind, all.get(kind)])
      .filter(([, found]) => found.length)
      .map(([kind, found]) => ({
        kind,
        total: found.length,
        near: found.reduce((a, b) => Math.max(a, b.near), 0),
        found,
      }))
      .sort((a, b) => b.near - a.near || KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind))
      .map(({ kind, total, found }) => ({
        kind,
        total,
        found: found
          .sort((a, b) => b.near - a.near)
          .slice(0, most)
          .map((one) => one.made()),
      }));
  }

  LAYERSCOPE.findAll = find;
})();
