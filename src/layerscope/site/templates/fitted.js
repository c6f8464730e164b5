"use strict";
// Plots that are drawn to the width there is, so that their words keep their size, and again where that changes.
(() => {
  const { el } = LAYERSCOPE;
  const PAUSE = 120; // milliseconds without a change, so that turning a telephone draws once

  // The width of the page inside its margins, in pixels.
  function room() {
    const main = document.getElementById("main");
    const style = getComputedStyle(main);
    return main.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  }

  // What `draw(width)` makes, in a box; `columns` of them with `gap` pixels between stand side by side at first, each at
  // most `most` pixels wide.
  function fitted(draw, columns = 1, gap = 0, most = Infinity) {
    let drawn = Math.floor(Math.min(most, (room() - gap * (columns - 1)) / columns));
    let [waiting, shown] = [0, false];
    const box = el("div", { class: "fitted" }, draw(drawn));
    const watch = new ResizeObserver(() => {
      clearTimeout(waiting);
      if (!box.isConnected) return shown ? watch.disconnect() : undefined; // a page is put together before it is shown
      shown = true;
      waiting = setTimeout(() => {
        const width = Math.floor(box.clientWidth);
        if (!width || Math.abs(width - drawn) < 2) return;
        drawn = width;
        box.replaceChildren(draw(width));
      }, PAUSE);
    });
    watch.observe(box);
    return box;
  }

  // Of how many things in a row, `room` pixels for each, every how manieth can have words of `width` pixels.
  const everyNth = (room, width) => Math.max(1, Math.ceil(width / Math.max(room, 0.1)));

  Object.assign(LAYERSCOPE, { room, fitted, everyNth });
})();
