"use strict";
// Unpacks the data of the page, and evaluates the networks with onnxruntime-web, without a server.

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";

/** Returns the bytes of base 85 text. */
function unpack(text) {
  const digit = new Uint8Array(128);
  for (let k = 0; k < 85; k++) digit[ALPHABET.charCodeAt(k)] = k;
  const rest = (5 - (text.length % 5)) % 5;
  const bytes = new Uint8Array(((text.length + rest) / 5) * 4);
  for (let i = 0, j = 0; i < text.length; i += 5) {
    let value = 0;
    for (let k = 0; k < 5; k++) value = value * 85 + (i + k < text.length ? digit[text.charCodeAt(i + k)] : 84);
    bytes[j++] = value / 16777216; bytes[j++] = value / 65536; bytes[j++] = value / 256; bytes[j++] = value;
  }
  return bytes.subarray(0, bytes.length - rest);
}

/** Returns the bytes of a packed element, and frees its text. */
function blob(name) {
  const element = document.getElementById(`blob-${name}`);
  const bytes = unpack(element.textContent.trim());
  element.textContent = "";
  return bytes;
}

async function gunzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function unpackJson(name) {
  return JSON.parse(new TextDecoder().decode(await gunzip(blob(name))));
}

/** A sheet of many images; `tile` returns one of them as grey levels (C, H, W). */
class Sheet {
  static async open(name, shape) {
    const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
    const picture = await createImageBitmap(new Blob([blob(name)]), options);
    const canvas = document.createElement("canvas");
    canvas.width = picture.width; canvas.height = picture.height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    return Object.assign(new Sheet(), { context, shape, columns: picture.width / shape[2] });
  }
  tile(number) {
    const [channels, height, width] = this.shape;
    const x = (number % this.columns) * width, y = Math.floor(number / this.columns) * height;
    return fromPixels(this.context.getImageData(x, y, width, height).data, channels, height * width);
  }
}

/** Returns grey levels (C, H, W) of RGBA pixels. */
function fromPixels(data, channels, count) {
  const image = new Float32Array(channels * count);
  for (let c = 0; c < channels; c++) for (let k = 0; k < count; k++) image[c * count + k] = data[4 * k + c];
  return image;
}

/** Draws grey levels (C, H, W) on a canvas of that size. */
function paint(canvas, image, [channels, height, width]) {
  canvas.width = width; canvas.height = height;
  const context = canvas.getContext("2d"), drawn = context.createImageData(width, height), count = height * width;
  for (let k = 0; k < count; k++) {
    for (let c = 0; c < 3; c++) drawn.data[4 * k + c] = image[(channels === 1 ? 0 : c) * count + k];
    drawn.data[4 * k + 3] = 255;
  }
  context.putImageData(drawn, 0, 0);
  return canvas;
}

/** Draws the difference of two images: more is warm, less is cold, equal is transparent. */
function paintDifference(canvas, image, other, [channels, height, width]) {
  canvas.width = width; canvas.height = height;
  const context = canvas.getContext("2d"), drawn = context.createImageData(width, height), count = height * width;
  for (let k = 0; k < count; k++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += image[c * count + k] - other[c * count + k];
    const change = sum / channels;
    drawn.data.set(change > 0 ? [217, 91, 26, Math.min(255, 2 * change)] : [38, 112, 214, Math.min(255, -2 * change)], 4 * k);
  }
  context.putImageData(drawn, 0, 0);
  return canvas;
}

/** A generator of uniform numbers in (0, 1), a function of its seed. */
function uniform(seed) {
  let state = (seed * 2654435761 + 1013904223) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
}

function normals(random, count) {
  return Float32Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random()));
}

/** The networks of the page. All runs wait for each other, because a session evaluates one input at a time. */
class Networks {
  constructor(content) { this.content = content; this.sessions = {}; this.transports = {}; this.last = Promise.resolve(); }

  async start() {
    const part = (name) => gunzip(blob(`runtime-${name}`));
    const address = (bytes) => URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
    const script = document.createElement("script");
    const loaded = new Promise((resolve, reject) => { script.onload = resolve; script.onerror = () => reject(new Error("the runtime does not load")); });
    script.src = address(await part("script"));
    document.head.append(script);
    await loaded;
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmBinary = unlzma(blob("runtime-wasm")).buffer;
    ort.env.wasm.wasmPaths = { mjs: address(await part("module")) };
    ort.env.logLevel = "error";
  }

  async run(name, feeds) {
    this.sessions[name] ??= ort.InferenceSession.create(await gunzip(blob(`graph-${name}`)), { executionProviders: ["wasm"] });
    const session = await this.sessions[name];
    const used = Object.fromEntries(session.inputNames.map((key) => [key, new ort.Tensor("float32", feeds[key][0], feeds[key][1])]));
    const turn = this.last.then(() => session.run(used));
    this.last = turn.catch(() => null);
    return (await turn).output.data;
  }

  /** Returns the encoded parents, float32 (P). */
  encode(parents) {
    const columns = [];
    for (const v of this.content.dataset.variables) {
      if (v.kind === "categorical") for (let k = 0; k < v.classes; k++) columns.push(k === Math.round(parents[v.name]) ? 1 : 0);
      else columns.push((2 * (parents[v.name] - v.low)) / (v.high - v.low) - 1);
    }
    return Float32Array.from(columns);
  }

  /** Returns the parents after an action, in physical units. */
  async parents(before, action, stickiness = 1, seed = 0) {
    const variables = this.content.dataset.variables, random = uniform(seed), n = variables.length;
    const most = Math.max(1, ...variables.map((v) => v.classes));
    const row = (value) => [Float32Array.from(variables, value), [1, n]];
    const found = await this.run("parents", {
      values: row((v) => before[v.name]),
      acted: row((v) => (v.name in action ? 1 : 0)),
      action: row((v) => action[v.name] ?? 0),
      keep: row(() => (random() < stickiness ? 1 : 0)),
      normals: [normals(random, n), [1, n]],
      gumbels: [Float32Array.from({ length: 2 * n * most }, () => -Math.log(-Math.log(random()))), [1, n, 2, most]],
    });
    return Object.fromEntries(variables.map((v, k) => [v.name, v.kind === "categorical" ? Math.round(found[k]) : found[k] === Math.fround(before[v.name]) ? before[v.name] : found[k]]));
  }

  /** Returns the transport of the latents of a method between parents; empty if it has none. */
  async moved(method, before, after) {
    if (!method.transport) return { matrix: new Float32Array(0), shift: new Float32Array(0) };
    this.transports[method.name] ??= gunzip(blob(`moments-${method.name}`)).then((bytes) => new Transport(this.content.dataset.variables, method.transport, bytes));
    return (await this.transports[method.name]).between(before, after);
  }

  /** Returns the answer of a method in grey levels (C, H, W), rounded. */
  async answer(method, image, before, after, dials, seed = 0, noise = null) {
    const shape = [1, ...this.content.dataset.shape], size = method.noise, random = uniform(seed), p = this.encode(before);
    const mask = (count) => Float32Array.from({ length: count }, () => (random() < dials.stickiness ? 1 : 0));
    noise ??= normals(random, size);
    const flat = method.mediated ? 0 : size, { matrix, shift } = await this.moved(method, before, after);
    const found = await this.run(method.name, {
      image: [image, shape], before: [p, [1, p.length]], after: [this.encode(after), [1, p.length]], noise: [noise, [1, size]],
      latent_temperature: [Float32Array.of(dials.latent_temperature), []],
      residual_temperature: [Float32Array.of(dials.residual_temperature), []],
      keep_latents: [mask(flat), [1, flat]], fresh_latents: [normals(random, flat), [1, flat]],
      keep_pixels: [mask(image.length), shape], fresh_pixels: [normals(random, image.length), shape],
      keep_levels: [Float32Array.of(random() < dials.stickiness ? 1 : 0), []],
      transport_map: [matrix, [shift.length, shift.length]], transport_shift: [shift, [1, shift.length]],
    });
    return Float32Array.from(found, (value) => Math.max(0, Math.min(255, Math.round(value))));
  }

  /** Returns the parents that the judges read in an image; those without a judge keep their value. */
  async read(image, parents) {
    const found = { ...parents };
    for (const name of this.content.networks.judges) {
      const v = this.content.dataset.variables.find((one) => one.name === name);
      const output = await this.run(`judge-${name}`, { image: [image, [1, ...this.content.dataset.shape]] });
      found[name] = v.kind === "categorical" ? output.indexOf(Math.max(...output)) : v.low + 0.5 * (output[0] + 1) * (v.high - v.low);
    }
    return found;
  }
}
