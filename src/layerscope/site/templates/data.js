"use strict";
// Networks, layers, units, reports and images by their addresses; layers, reports, explanations and sheets of pictures
// come when they are looked at.
(() => {
  const { el, encoded } = LAYERSCOPE;
  const { networks, images, missing, colours, hierarchies, search: searchUrl } = LAYERSCOPE.data.index;
  const pending = new Map();

  function once(key, start) {
    if (!pending.has(key)) pending.set(key, new Promise(start));
    return pending.get(key);
  }

  // A page opened from the disk may not fetch, but it may add a script.
  const script = (url, key) =>
    once(url, (resolve, reject) => {
      const fail = () => reject(new Error(`${url} cannot be read; write the site again`));
      document.head.append(el("script", { src: url, onload: () => resolve(LAYERSCOPE.data[key]), onerror: fail }));
    });

  const sheet = (url) =>
    once(url, (resolve, reject) => {
      const image = new Image();
      image.onload = () => resolve(image);
      image.onerror = () => reject(new Error(`${url} cannot be read; write the site again`));
      image.src = url;
    });

  const layerData = (network, layer) => script(layer.data, `${network.slug}/${layer.slug}`);
  const imageData = (image) => script(image.data, `image:${image.slug}`);
  const reportData = (report) => script(report.data, `hierarchy:${report.slug}`);
  const reportLayerData = (report, layer) => script(layer.data, `hierarchy:${report.slug}/${layer.slug}`);

  // Where tile `place` of a sprite lies: the address of its sheet and its corner there.
  function tileOf(sprite, place) {
    const onSheet = place % sprite.per_sheet;
    const [width, height] = sprite.tile.map((size) => size + 2 * sprite.gutter);
    const left = (onSheet % sprite.columns) * width + sprite.gutter;
    const top = Math.floor(onSheet / sprite.columns) * height + sprite.gutter;
    return { url: sprite.sheets[Math.floor(place / sprite.per_sheet)], left, top };
  }

  // Short plain names make readable addresses; any other is known by its slug. Both are understood.
  const segment = (text, slug) =>
    /^[\w.:#-]{1,60}$/.test(text) ? encodeURIComponent(text).replaceAll("%3A", ":") : slug;

  function address(network, layer, unit) {
    const parts = [""];
    if (network) parts.push(segment(network.title, network.slug));
    if (layer) parts.push(segment(layer.name, layer.slug));
    if (unit !== undefined) parts.push(unit);
    return "#" + (parts.join("/") || "/");
  }

  // An image, or one of its maps: #/image/name/question/method.
  const imageAddress = (image, ...parts) =>
    ["#/image", segment(image.title, image.slug), ...parts.map(encoded)].join("/");

  // A report, one of its layers or one of its units: #/hierarchy/name/layer/unit.
  const reportAddress = (report, layer, unit) => address(report, layer, unit).replace("#/", "#/hierarchy/");

  const byName = (things, text, key) =>
    things.find((one) => one[key] === text) || things.find((one) => one.slug === text);
  const findNetwork = (text) => byName(networks, text, "title");
  const findImage = (text) => byName(images, text, "title");
  const findReport = (text) => byName(hierarchies.reports, text, "title");
  const findLayer = (network, text) => byName(network.layers, text, "name");

  const sum = (layers, key) => layers.reduce((total, layer) => total + layer[key], 0);

  // One truth for the colours of evidence: those in which the maps were drawn.
  for (const [side, colour] of Object.entries(colours)) document.documentElement.style.setProperty(`--${side}`, colour);

  Object.assign(LAYERSCOPE, { networks, images, missing, hierarchies, sheet, tileOf, sum });
  Object.assign(LAYERSCOPE, { script, searchUrl, layerData, imageData, reportData, reportLayerData });
  Object.assign(LAYERSCOPE, { address, imageAddress, reportAddress, findNetwork, findLayer, findImage, findReport });
})();
