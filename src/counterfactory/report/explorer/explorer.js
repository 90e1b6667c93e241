"use strict";
// The part that asks: an image, interventions, dials, and the answers of each method.

const $ = (id) => document.getElementById(id);

/** Returns a new element with properties, attributes (with a hyphen) and children. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-")) element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children);
  return element;
}

const shown = (v, value) => v.kind === "categorical" ? (v.names[Math.round(value)] ?? String(Math.round(value))) : `${Number(value.toPrecision(4))}${v.unit ? ` ${v.unit}` : ""}`;

const SAMPLES = { name: "samples", title: "samples", low: 1, high: 8, step: 1, start: 1 };
const TEMPERATURES = [
  { name: "residual_temperature", title: "residual (pixel noise)", low: 0, high: 1, step: 0.05 },
  { name: "latent_temperature", title: "latents (posterior)", low: 0, high: 1.5, step: 0.05 },
];
const DIALS = [
  { name: "stickiness", title: "stickiness (kept noise)", low: 0, high: 1, step: 0.05 },
  SAMPLES,
  { name: "seed", title: "seed", low: 0, high: 99, step: 1, start: 0 },
];

class Explorer {
  constructor(content, sheets, networks, typical) {
    Object.assign(this, { content, sheets, networks, typical, action: {}, dials: { stickiness: content.stickiness, samples: 1, seed: 0 }, turn: 0 });
    this.variables = content.dataset.variables;
    this.shape = content.dataset.shape;
    this.inputs = {};
    this.showExamples();
    this.showVariables();
    if (networks) { this.showDials(); this.openPad(); }
    this.choose(0);
  }

  showExamples() {
    this.content.examples.parents.forEach((parents, k) => {
      const words = this.variables.map((v) => `${v.name} ${shown(v, parents[v.name])}`).join(", ");
      const button = make("button", { type: "button", title: words, onclick: () => this.choose(k), "aria-label": `Test image ${this.content.examples.rows[k]}: ${words}`, "aria-pressed": "false" });
      button.append(paint(make("canvas"), this.sheets.examples.tile(k), this.shape));
      $("examples").append(button);
    });
  }

  choose(k) {
    this.example = k;
    [...$("examples").children].forEach((button, i) => button.setAttribute("aria-pressed", String(i === k)));
    this.setImage(this.sheets.examples.tile(k), { ...this.content.examples.parents[k] });
  }

  setImage(image, parents) {
    this.image = image;
    this.before = parents;
    this.given = new Set();
    for (const v of this.variables) this.refresh(v);
    this.update();
  }

  showVariables() {
    for (const v of this.variables) {
      const id = `set-${v.name}`;
      const set = make("input", { type: "checkbox", id, onchange: () => this.toggle(v, set.checked) });
      const low = v.kind === "categorical" ? 0 : v.low, high = v.kind === "categorical" ? v.classes - 1 : v.high;
      const steps = this.networks ? 40 : v.values.length - 1;
      const slider = make("input", { type: "range", min: low, max: high, step: v.kind === "categorical" ? 1 : (high - low) / steps, "aria-label": `value of do(${v.name})` });
      slider.oninput = () => { set.checked = true; this.toggle(v, true); };
      const output = make("output"), was = make("span", { className: "was" });
      $("variables").append(make("div", { className: "variable" },
        make("div", { className: "top" }, make("span", {}, set, make("label", { htmlFor: id, textContent: ` do(${v.name})` })), was),
        make("div", { className: "row" }, slider, output)));
      this.inputs[v.name] = { set, slider, output, was };
    }
  }

  toggle(v, on) {
    if (on && !this.networks) for (const other of this.variables) if (other !== v) { this.inputs[other.name].set.checked = false; delete this.action[other.name]; this.refresh(other); }
    if (on) this.action[v.name] = this.valueOf(v);
    else delete this.action[v.name];
    this.refresh(v);
    this.update();
  }

  /** Returns the value of a slider; a value next to a rendered one is that value. */
  valueOf(v) {
    const value = Number(this.inputs[v.name].slider.value);
    const near = v.values.reduce((a, b) => (Math.abs(b - value) < Math.abs(a - value) ? b : a));
    return Math.abs(near - value) < (v.high - v.low) / 1e4 || v.kind === "categorical" ? near : value;
  }

  refresh(v) {
    const { set, slider, output, was } = this.inputs[v.name], acted = v.name in this.action;
    if (!acted) slider.value = this.before?.[v.name] ?? slider.value;
    set.checked = acted;
    output.textContent = acted ? shown(v, this.action[v.name]) : "not set";
    was.replaceChildren("before: ");
    if (this.example >= 0) was.append(this.before ? shown(v, this.before[v.name]) : "");
    else {
      const factual = make("input", { type: "number", className: "factual", step: "any", value: Number(this.before[v.name].toPrecision(4)), "aria-label": `${v.name} of your image` });
      const source = make("span", { textContent: this.source(v) });
      factual.onchange = () => { this.before[v.name] = Number(factual.value); this.given.add(v.name); source.textContent = this.source(v); this.update(); };
      was.append(factual, ` ${v.unit} `, source);
    }
    for (const arrow of $("graph").querySelectorAll(`.into-${v.name}`)) arrow.classList.toggle("cut", acted);
    const node = $("graph").querySelector(`.node-${v.name}`);
    node.classList.toggle("acted", acted);
    node.querySelector("text").textContent = acted ? `do(${v.name})` : v.name;
  }

  showDials() {
    const { methods } = this.content.networks;
    const show = (dial, title, places) => {
      const start = places[0][dial.name];
      const input = make("input", { type: "range", min: dial.low, max: Math.max(dial.high, start), step: dial.step, value: start });
      const output = make("output", { textContent: start });
      input.oninput = () => { for (const place of places) place[dial.name] = Number(input.value); output.textContent = input.value; this.update(); };
      $("dials").append(make("label", {}, title, input, output));
    };
    for (const dial of TEMPERATURES) {
      // One dial for all methods, unless the run answers with different values.
      if (new Set(methods.map((one) => one.dials[dial.name])).size === 1) show(dial, dial.title, methods.map((one) => one.dials));
      else for (const one of methods) show(dial, `${one.title}: ${dial.title}`, [one.dials]);
    }
    for (const dial of DIALS) if (dial.name !== "stickiness" || !methods.some((one) => one.mediated)) show(dial, dial.title, [this.dials]);
  }

  /** Own images: drawn, opened or dropped. The judges read their variables. */
  openPad() {
    const pad = $("pad"), context = pad.getContext("2d", { willReadFrequently: true });
    const wipe = () => { context.fillStyle = "#000"; context.fillRect(0, 0, 256, 256); };
    wipe();
    Object.assign(context, { strokeStyle: "#fff", lineWidth: 22, lineCap: "round", lineJoin: "round" });
    const at = (event) => [(event.offsetX * 256) / pad.clientWidth, (event.offsetY * 256) / pad.clientHeight];
    pad.onpointerdown = (event) => { pad.setPointerCapture(event.pointerId); context.beginPath(); context.moveTo(...at(event)); context.lineTo(...at(event)); context.stroke(); };
    pad.onpointermove = (event) => { if (event.buttons) { context.lineTo(...at(event)); context.stroke(); } };
    pad.onpointerup = () => this.takePad();
    $("clear").onclick = wipe;
    const open = async (file) => {
      if (!file) return;
      try {
        const picture = await createImageBitmap(file), scale = 256 / Math.max(picture.width, picture.height);
        wipe();
        context.drawImage(picture, (256 - picture.width * scale) / 2, (256 - picture.height * scale) / 2, picture.width * scale, picture.height * scale);
        await this.takePad();
      } catch { $("said").textContent = `${file.name}: not an image that this browser can read`; }
    };
    $("file").onchange = (event) => open(event.target.files[0]);
    $("invert").onchange = () => this.takePad();
    pad.ondragover = (event) => { event.preventDefault(); pad.classList.add("over"); };
    pad.ondragleave = () => pad.classList.remove("over");
    pad.ondrop = (event) => { event.preventDefault(); pad.classList.remove("over"); open(event.dataTransfer.files[0]); };
  }

  async takePad() {
    const [channels, height, width] = this.shape, small = make("canvas", { width, height });
    const context = small.getContext("2d");
    context.imageSmoothingQuality = "high";
    if ($("invert").checked) context.filter = "invert(1)";
    context.drawImage($("pad"), 0, 0, width, height);
    const data = context.getImageData(0, 0, width, height).data;
    if (channels === 1) for (let k = 0; k < data.length; k += 4) data[k] = 0.299 * data[k] + 0.587 * data[k + 1] + 0.114 * data[k + 2];
    const image = fromPixels(data, channels, height * width);
    const middle = Object.fromEntries(this.variables.map((v) => [v.name, v.kind === "categorical" ? 0 : (v.low + v.high) / 2]));
    this.example = -1;
    [...$("examples").children].forEach((button) => button.setAttribute("aria-pressed", "false"));
    this.setImage(image, await this.networks.read(image, middle));
  }

  /** Computes and shows all answers; a newer call makes an older one stop. */
  async update() {
    const turn = ++this.turn;
    document.body.dataset.busy = "yes";
    await new Promise((resolve) => setTimeout(resolve, 30));
    if (turn !== this.turn) return;
    try {
      const cards = [{ title: "Image", image: this.image, parents: this.before }, this.truth()];
      if (this.networks) for (const method of this.content.networks.methods) cards.push(await this.ask(method));
      for (const one of this.content.precomputed) cards.push(this.precomputed(one));
      if (turn === this.turn) this.show(cards.filter(Boolean));
    } catch (error) { $("said").textContent = `No answer: ${error.message}`; throw error; }
    finally { if (turn === this.turn) document.body.dataset.busy = "no"; }
  }

  async ask(method) {
    const images = [];
    let parents = null;
    for (let sample = 0; sample < this.dials.samples; sample++) {
      const seed = 1000 * this.dials.seed + sample;
      const after = await this.networks.parents(this.before, this.action, this.dials.stickiness, seed);
      parents ??= after;
      images.push(await this.networks.answer(method, this.image, this.before, after, { ...this.dials, ...method.dials }, seed));
    }
    return { title: method.title, image: images[0], parents, more: images.slice(1) };
  }

  /** Returns where the answer to the present question is among those at the rendered values, or -1. */
  place() {
    const names = Object.keys(this.action), sizes = this.variables.map((v) => v.values.length);
    if (names.length !== 1 || this.example < 0) return -1;
    const k = this.variables.findIndex((v) => v.name === names[0]), { values } = this.variables[k];
    const near = values.reduce((best, value, i) => (Math.abs(value - this.action[names[0]]) < Math.abs(values[best] - this.action[names[0]]) ? i : best), 0);
    this.near = { variable: this.variables[k], value: values[near] };
    return this.example * sizes.reduce((a, b) => a + b, 0) + sizes.slice(0, k).reduce((a, b) => a + b, 0) + near;
  }

  truth() {
    if (!this.content.truth) return null;
    const title = "Truth", place = this.place();
    if (this.example < 0) return { title, absent: "no true counterfactual of your own image is known" };
    if (!Object.keys(this.action).length) return { title, image: this.image, parents: this.before };
    if (place < 0) return { title, absent: "the truth is rendered for one variable at a time" };
    if (!this.content.truth.answered[place]) return { title, absent: `not determined under do(${this.near.variable.name})` };
    return { title, image: this.sheets.truth.tile(place), parents: this.named(this.content.truth.parents[place]), note: this.nearest() };
  }

  /** Returns at which value an answer was computed in advance, if it is not the present one. */
  nearest() {
    const { variable, value } = this.near;
    return value === this.action[variable.name] ? "" : `at ${shown(variable, value)}, the nearest value that was computed in advance`;
  }

  precomputed(one) {
    const place = this.place(), { title } = one;
    if (this.example < 0) return { title, absent: "computed in advance for test images only" };
    if (place < 0) return { title, absent: Object.keys(this.action).length ? "computed in advance for one variable at a time" : "set a variable" };
    return { title, image: this.sheets[one.name].tile(place), parents: this.named(one.parents[place]), note: this.nearest() };
  }

  named(values) { return Object.fromEntries(this.variables.map((v, k) => [v.name, values[k]])); }

  show(cards) {
    $("said").textContent = this.outside() || (Object.keys(this.action).length ? "" : "Nothing is set. Move a slider to ask a question.");
    $("answers").replaceChildren(...cards.map((card, k) => {
      const box = make("div", { className: "answer" }, make("h4", { textContent: card.title }));
      if (card.absent) { box.append(make("div", { className: "absent", textContent: card.absent })); return box; }
      box.append(paint(make("canvas", { "aria-label": card.title, role: "img" }), card.image, this.shape));
      if (k > 0) {
        const note = card.note ? `; ${card.note}` : "";
        if (card.image.every((value, i) => value === this.image[i])) box.append(make("small", { textContent: `equal to the image${note}` }));
        else box.append(paintDifference(make("canvas", { className: "diff", "aria-label": `${card.title}: difference from the image`, role: "img" }), card.image, this.image, this.shape), make("small", { textContent: `difference from the image${note}` }));
      }
      const list = make("dl");
      for (const v of this.variables) list.append(make("dt", { textContent: v.name }), make("dd", { textContent: shown(v, card.parents[v.name]), className: k > 0 && shown(v, card.parents[v.name]) !== shown(v, this.before[v.name]) ? "moved" : "" }));
      box.append(list);
      if (card.more?.length) box.append(make("small", { textContent: `${card.more.length} more sample${card.more.length > 1 ? "s" : ""}` }), make("div", { className: "more" }, ...card.more.map((image) => paint(make("canvas"), image, this.shape))));
      return box;
    }));
  }

  /** Returns where the value of a variable of one's own image is from. */
  source(v) {
    if (this.given.has(v.name)) return "(given)";
    return this.content.networks.judges.includes(v.name) ? "(judged)" : "(not read: correct it)";
  }

  /** Returns a line for each value, and for an image of one's own, that the training data do not contain. */
  outside() {
    const lines = [], named = this.variables.map((v) => [v, `${v.name} ${this.example < 0 ? this.source(v) : "(given)"}`, this.before[v.name]]);
    for (const v of this.variables) if (v.name in this.action) named.push([v, `do(${v.name})`, this.action[v.name]]);
    const short = (value) => Number(value.toPrecision(4)); // compared as printed
    for (const [v, label, value] of named) {
      const known = this.content.training.variables[v.name], unit = v.unit ? ` ${v.unit}` : "";
      if (known.classes) {
        if (!known.classes.includes(Math.round(value))) lines.push(`${label} = ${shown(v, value)} is outside of the training data, which have no image of this class`);
      } else if (short(value) < short(known.low) || short(value) > short(known.high)) lines.push(`${label} = ${short(value)}${unit} is outside of the training data (${short(known.low)} to ${short(known.high)}${unit}); the answer extrapolates`);
    }
    if (this.example < 0) lines.push(...this.atypical());
    return lines.map((line) => `${line}.`).join(" ");
  }

  /** Returns a line if the present image is unlike the training images, or looks inverted. */
  atypical() {
    const typical = this.content.training.typical;
    if (!typical) return ["image: not compared with the training images, which are too large for this page"];
    const own = this.distance(this.image), other = this.distance(this.image.map((value) => 255 - value));
    if (own <= typical.limit) return [];
    if (other < own) return [`image${typical.inverted} (the box "exchange black and white")`];
    return [`image: is outside of the training data (distance ${Number(own.toPrecision(3))}, typical up to ${Number(typical.limit.toPrecision(3))})${typical.carried} (dials in part 3)`];
  }

  /** Returns the distance of an image from the training images: Mahalanobis along components, Euclidean across them. */
  distance(image) {
    const typical = this.content.training.typical;
    const { mean, components } = this.typical, size = image.length;
    let whole = 0, along = 0, inside = 0;
    for (let i = 0; i < size; i++) whole += (image[i] - mean[i]) ** 2;
    for (let k = 0; k < typical.count; k++) {
      let product = 0;
      for (let i = 0; i < size; i++) product += components[k * size + i] * (image[i] - mean[i]);
      inside += product ** 2;
      along += product ** 2 / typical.variances[k];
    }
    return Math.sqrt(along + Math.max(0, whole - inside) / typical.rest);
  }
}

/** Returns the mean and the components of the training images. */
async function typicalImages({ low, step }) {
  const numbers = async (name, kind) => new kind((await gunzip(blob(name))).buffer);
  const components = await numbers("typical-components", Uint16Array);
  return { mean: await numbers("typical-mean", Float32Array), components: Float32Array.from(components, (whole) => low + step * whole) };
}

async function open() {
  try {
    const content = await unpackJson("content"), shape = content.dataset.shape, sheets = {};
    for (const name of content.sheets) sheets[name] = await Sheet.open(`sheet-${name}`, shape);
    window.browser = new Browser(content, await unpackJson("browse"), shape);
    let networks = null;
    if (content.networks) {
      networks = new Networks(content);
      $("state").textContent = "Starting the networks …";
      await networks.start();
    }
    const { typical } = content.training;
    window.explorer = new Explorer(content, sheets, networks, typical && (await typicalImages(typical)));
    $("state").textContent = "";
    document.body.dataset.ready = "yes";
    // Not before both parts have their height.
    await window.browser.ready;
    if (location.hash.startsWith("#browse")) document.getElementById("browse").scrollIntoView();
  } catch (error) {
    $("state").textContent = `This page cannot be shown in this browser: ${error.message}`;
    throw error;
  }
}
document.addEventListener("DOMContentLoaded", open);
