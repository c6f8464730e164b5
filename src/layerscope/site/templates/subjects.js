"use strict";
// What can be compared: every network that has a gallery or a hierarchy report, and what two of them have in common.
(() => {
  const { el, name, whole, networks, hierarchies } = LAYERSCOPE;

  const sameNetwork = (report, network) =>
    Boolean(report.fingerprint) && report.fingerprint === network.network.fingerprint;

  // A subject is a network with its gallery, its report, or both; reports of other weights stand for themselves.
  const withGallery = networks.map((gallery) => ({
    title: gallery.title,
    slug: gallery.slug,
    gallery,
    report: hierarchies.reports.find((one) => sameNetwork(one, gallery)) ?? null,
  }));
  const alone = hierarchies.reports.filter((report) => !networks.some((network) => sameNetwork(report, network)));
  const isTaken = (report) => networks.some((one) => one.slug === report.slug || one.title === report.title);
  const withoutGallery = alone.map((report) => ({
    title: isTaken(report) ? `${report.title}, report` : report.title,
    slug: isTaken(report) ? `report-of-${report.slug}` : report.slug,
    gallery: null,
    report,
  }));
  const subjects = [...withGallery, ...withoutGallery];

  const find = (text) => subjects.find((one) => one.title === text) || subjects.find((one) => one.slug === text);
  const segment = ({ title, slug }) =>
    /^[\w.:#-]{1,60}$/.test(title) ? encodeURIComponent(title).replaceAll("%3A", ":") : slug;
  const compareAddress = (...chosen) => ["#/compare", ...chosen.map(segment)].join("/");
  const subjectOf = (gallery) => subjects.find((one) => one.gallery === gallery);
  const subjectOfReport = (report) => subjects.find((one) => one.report === report);

  // Links from a page to its comparisons; nothing where there is nobody to compare with.
  function compareLinks(subject) {
    const others = subjects.filter((one) => one !== subject);
    if (!subject || !others.length) return null;
    return el(
      "p",
      { class: "steps" },
      others
        .slice(0, 4)
        .map((one) => el("a", { href: compareAddress(subject, one) }, "compare with ", name(one.title, 40))),
      others.length > 4 ? el("a", { href: compareAddress(subject) }, "others") : null,
    );
  }

  const isSame = (a, b) => a !== null && a !== undefined && JSON.stringify(a) === JSON.stringify(b);

  // Two states of one training: the same architecture, recipe with its seed, and training images by their spectrum.
  function isOneTraining(a, b) {
    const same = ["architecture", "recipe", "spectrum"].every((key) => isSame(a[key], b[key]));
    return same && (a.step ?? null) !== (b.step ?? null);
  }

  const stepOf = (card) => (typeof card.step === "number" ? `step ${whole(card.step)}` : "the end");

  // A difference of shares.
  const points = (value) => `${value > 0 ? "+" : ""}${(100 * value).toFixed(1)} points`.replace("-", "−");

  // Trainings of one architecture from one seed start with the same weights, and their units may stay alike.
  const trained = (first, second) =>
    isSame(first.recipe.seed, second.recipe.seed)
      ? `Trained in two ways from the same seed (${first.recipe.seed}) by their cards: units of the same number began ` +
        "as one and may still be alike, but only classes are known to mean the same in both."
      : "Units of the same number in two networks were trained apart: only classes mean the same in both.";

  // What is known about units of equal number in two networks, in a sentence.
  function unitsOf(a, b) {
    const [first, second] = [a.card ?? {}, b.card ?? {}];
    if (a.fingerprint && a.fingerprint === b.fingerprint)
      return "Both have the same weights: a unit is the same unit in both.";
    if (isOneTraining(first, second))
      return `Two states of one training by their cards (${stepOf(first)} and ${stepOf(second)}): a unit is the same unit at two times.`;
    if (isSame(first.architecture, second.architecture) && first.recipe && second.recipe) return trained(first, second);
    return (
      "Nothing says that these are two states of one training: unless you know it, " +
      "units of the same number have nothing in common, and only classes mean the same in both."
    );
  }

  Object.assign(LAYERSCOPE, { comparable: () => subjects, findComparable: find, compareAddress, subjectOf });
  Object.assign(LAYERSCOPE, { subjectOfReport, compareLinks, unitsOf, points });
})();
