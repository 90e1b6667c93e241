"use strict";
// The part that lists all answers of all methods, sorted by one score.

const PAGE = 48;

class Browser {
  constructor(content, index, shape) {
    Object.assign(this, { content, index, shape, sheets: {}, numbers: {}, count: PAGE });
    if (!index.suites.length) { document.getElementById("count").textContent = "This run has no stored answers."; return; }
    this.choice = { suite: index.suites[0].suite, order: "worst" };
    window.addEventListener("hashchange", () => this.follow());
    document.getElementById("more").onclick = () => { this.count += PAGE; this.show(); };
    this.follow();
  }

  get suite() { return this.index.suites.find((one) => one.suite === this.choice.suite); }

  /** Reads a link such as `#browse:suite=do&method=vae&metric=truth_l1&intervention=thickness`. */
  follow() {
    if (location.hash.startsWith("#browse:")) {
      const asked = Object.fromEntries(new URLSearchParams(location.hash.slice(8)));
      if (this.index.suites.some((one) => one.suite === asked.suite)) this.choice = { order: "worst", ...asked };
    }
    this.count = PAGE;
    this.showFilters();
    const shown = this.show();
    if (location.hash.startsWith("#browse")) this.ready = shown.then(() => document.getElementById("browse").scrollIntoView());
  }

  /** Returns whether the answers of a method and training seed are listed; a method without training has no seed. */
  chosen(method) {
    const { choice } = this;
    return (!choice.method || choice.method === method.name) && (!choice.seed || Number(choice.seed) === method.seed);
  }

  metrics() {
    const found = new Map();
    for (const method of this.suite.methods) {
      if (!this.chosen(method)) continue;
      for (const metric of method.metrics) found.set(metric.name, metric);
    }
    return [...found.values()];
  }

  showFilters() {
    const { suite, choice } = this, all = { name: "", title: "all" };
    const titles = { do: "interventions (do)", flip: "explanations (flip)", null: "null interventions", reverse: "intervention and inverse", query: "queries to generators" };
    const seeds = [...new Set(suite.methods.map((one) => one.seed))], methods = [...new Map(suite.methods.map((one) => [one.name, one])).values()];
    const metrics = this.metrics();
    const preferred = { do: "truth_l1", flip: "l1" }[choice.suite];
    if (!metrics.some((one) => one.name === choice.metric)) choice.metric = (metrics.find((one) => one.name === preferred) ?? metrics[0])?.name ?? "";
    const selects = [
      ["suite", "suite", this.index.suites.map((one) => ({ name: one.suite, title: titles[one.suite] ?? one.suite }))],
      ["intervention", { flip: "attribute", query: "query" }[choice.suite] ?? "intervention", [all, ...suite.kinds.map((name, k) => ({ name, title: suite.titles[k] }))]],
      ...(suite.protocols.length > 1 ? [["protocol", choice.suite === "query" ? "stickiness s" : "values from", [all, ...suite.protocols.map((name) => ({ name, title: name.replace("_", " ") }))]]] : []),
      ["method", choice.suite === "query" ? "generator" : "method", [all, ...methods]],
      ...(seeds.length > 1 ? [["seed", "training seed", [all, ...seeds.map((seed) => ({ name: String(seed), title: String(seed) }))]]] : []),
      ["metric", "sorted by", metrics],
      ["order", "order", [{ name: "worst", title: "worst first" }, { name: "best", title: "best first" }, { name: "number", title: "by question" }]],
    ];
    document.getElementById("filters").replaceChildren(...selects.map(([key, title, options]) => {
      const select = make("select", { id: `filter-${key}` }, ...options.map((one) => make("option", { value: one.name, textContent: one.title, selected: (choice[key] ?? "") === one.name })));
      select.onchange = () => {
        choice[key] = select.value;
        if (key === "suite") this.choice = { suite: select.value, order: choice.order };
        this.count = PAGE;
        this.showFilters();
        this.show();
        document.getElementById(`filter-${key}`).focus();
      };
      return make("label", {}, title, select);
    }));
  }

  /** Returns the values of one metric of one method, NaN where there is none. */
  async values(method, metric) {
    const k = method.metrics.findIndex((one) => one.name === metric);
    if (k < 0) return null;
    const key = method.scores, count = this.suite.steps.length, { low, step } = method.metrics[k];
    this.numbers[key] ??= gunzip(blob(key)).then((bytes) => new Uint16Array(bytes.buffer));
    return Array.from((await this.numbers[key]).subarray(k * count, (k + 1) * count), (whole) => (whole === 65535 ? NaN : low + step * whole));
  }

  async sheet(name) {
    this.sheets[name] ??= Sheet.open(name, this.shape);
    return this.sheets[name];
  }

  /** Returns, for each question, the place of its answer in the sheet, or -1; from the lengths of runs. */
  places(answered) {
    answered.places ??= answered.flatMap((length, k) => Array(length).fill(k % 2)).map(((place) => (flag) => (flag ? place++ : -1))(0));
    return answered.places;
  }

  async show() {
    const { suite, choice } = this, hits = [], turn = (this.turn = (this.turn ?? 0) + 1);
    const kind = suite.kinds.indexOf(choice.intervention), protocol = suite.protocols.indexOf(choice.protocol);
    let better = "lower";
    for (const method of suite.methods) {
      if (!this.chosen(method)) continue;
      const values = await this.values(method, choice.metric), places = this.places(method.answered);
      if (!values) continue;
      better = method.metrics.find((one) => one.name === choice.metric).better || "lower";
      values.forEach((value, q) => {
        if ((kind < 0 || suite.intervention[q] === kind) && (protocol < 0 || suite.protocol[q] === protocol) && places[q] >= 0 && !Number.isNaN(value)) hits.push({ method, q, value, place: places[q] });
      });
    }
    if (turn !== this.turn) return; // a newer choice is being shown
    const sign = (better === "lower" ? -1 : 1) * (choice.order === "best" ? -1 : 1);
    hits.sort((a, b) => (choice.order === "number" ? a.q - b.q : sign * (a.value - b.value) || a.q - b.q));
    this.hits = hits;
    const title = this.metrics().find((one) => one.name === choice.metric)?.title ?? "";
    document.getElementById("count").textContent = `${hits.length.toLocaleString("en")} answers with this score${hits.length > this.count ? `; the first ${this.count} are shown` : ""}.${this.index.left_out ? ` For the size of the page, ${this.index.left_out.toLocaleString("en")} answers are not listed.` : ""}${(suite.notes ?? []).map((line) => ` Not answered: ${line}.`).join("")}`;
    const factual = await this.sheet(suite.factual ?? "factual"), truth = suite.truth && (await this.sheet(suite.truth.sheet));
    const cards = [], several = new Set(suite.methods.map((one) => one.seed)).size > 1;
    for (const hit of hits.slice(0, this.count)) {
      const sheet = await this.sheet(hit.method.sheet), image = suite.images[hit.q];
      const real = truth ? this.places(suite.truth.answered)[hit.q] : -1;
      const picture = (one, k, words) => paint(make("canvas", { role: "img", "aria-label": words }), one.tile(k), this.shape);
      cards.push(make("div", { className: "hit" },
        make("div", { className: truth ? "three" : "three two" }, picture(factual, image, "image"), ...(truth ? [real >= 0 ? picture(truth, real, "truth") : make("div", { className: "absent", textContent: "no truth" })] : []), picture(sheet, hit.place, "answer")),
        make("div", {}, make("b", { textContent: Number(hit.value.toPrecision(3)) }), ` ${title.replace(/ [↓↑]$/, "")}`),
        make("div", { textContent: `${hit.method.title}: ${suite.target[hit.q] ? `flip ${suite.target[hit.q]}` : suite.steps[hit.q]}` }),
        make("div", { className: "hint", textContent: `${suite.labels?.[hit.q] ?? `question ${hit.q}, test image ${this.index.rows[image]}`}${several ? `, training seed ${hit.method.seed}` : ""}` })));
    }
    if (turn !== this.turn) return;
    document.getElementById("found").replaceChildren(...cards);
    document.getElementById("more").hidden = hits.length <= this.count;
  }
}
