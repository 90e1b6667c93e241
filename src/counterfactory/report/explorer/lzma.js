"use strict";
// Unpacks LZMA, which browsers do not: the runtime of the networks is a quarter smaller than with gzip.

const LENGTHS = 514, SLOTS = 64;

/** Returns the bytes of a .lzma file whose header holds the size. */
function unlzma(input) {
  const lc = input[0] % 9, lp = Math.floor(input[0] / 9) % 5, pb = Math.floor(input[0] / 45);
  const size = new DataView(input.buffer, input.byteOffset).getUint32(5, true);
  const output = new Uint8Array(size), chances = (count) => new Uint16Array(count).fill(1024);
  const match = chances(192), rep = chances(12), rep0 = chances(12), rep1 = chances(12), rep2 = chances(12), rep0Long = chances(192);
  const literals = chances(0x300 << (lc + lp)), slots = chances(4 * SLOTS), special = chances(115), align = chances(16);
  const matchLength = chances(LENGTHS), repLength = chances(LENGTHS);
  let at = 13, range = -1, code = 0; // range and code are unsigned 32-bit numbers, kept as signed ones
  for (let k = 0; k < 5; k++) code = (code << 8) | input[at++];

  const shift = () => { if ((range >>> 24) === 0) { range <<= 8; code = (code << 8) | input[at++]; } };
  const bit = (table, index) => {
    const chance = table[index], bound = Math.imul(range >>> 11, chance);
    const one = (code >>> 0) >= (bound >>> 0);
    if (one) { range = (range - bound) | 0; code = (code - bound) | 0; table[index] = chance - (chance >> 5); } else { range = bound; table[index] = chance + ((2048 - chance) >> 5); }
    shift();
    return one ? 1 : 0;
  };
  const tree = (table, start, bits) => {
    let node = 1;
    for (let k = 0; k < bits; k++) node = (node << 1) | bit(table, start + node);
    return node - (1 << bits);
  };
  const reversed = (table, start, bits) => {
    let node = 1, value = 0;
    for (let k = 0; k < bits; k++) { const b = bit(table, start + node); node = (node << 1) | b; value |= b << k; }
    return value;
  };
  const direct = (bits) => {
    let value = 0;
    for (let k = 0; k < bits; k++) {
      range >>>= 1;
      const one = (code >>> 0) >= (range >>> 0);
      if (one) code = (code - range) | 0;
      value = (value << 1) | (one ? 1 : 0);
      shift();
    }
    return value;
  };
  const lengthOf = (table, place) => {
    if (!bit(table, 0)) return tree(table, 2 + (place << 3), 3);
    if (!bit(table, 1)) return 8 + tree(table, 130 + (place << 3), 3);
    return 16 + tree(table, 258, 8);
  };
  const distanceOf = (length) => {
    const slot = tree(slots, Math.min(length, 3) * SLOTS, 6);
    if (slot < 4) return slot;
    const bits = (slot >> 1) - 1, base = (2 | (slot & 1)) << bits;
    if (slot < 14) return base + reversed(special, base - slot, bits);
    return base + (direct(bits - 4) << 4) + reversed(align, 0, 4);
  };

  let state = 0, done = 0;
  const last = [0, 0, 0, 0];
  while (done < size) {
    const place = done & ((1 << pb) - 1);
    if (!bit(match, (state << 4) + place)) {
      const before = done ? output[done - 1] : 0;
      const start = 0x300 * (((done & ((1 << lp) - 1)) << lc) + (before >> (8 - lc)));
      let symbol = 1;
      if (state >= 7) {
        let other = output[done - last[0] - 1];
        while (symbol < 256) {
          const expected = (other >> 7) & 1;
          other <<= 1;
          const b = bit(literals, start + ((1 + expected) << 8) + symbol);
          symbol = (symbol << 1) | b;
          if (b !== expected) break;
        }
      }
      while (symbol < 256) symbol = (symbol << 1) | bit(literals, start + symbol);
      output[done++] = symbol;
      state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
      continue;
    }
    let length;
    if (!bit(rep, state)) {
      last.unshift(0);
      last.pop();
      length = lengthOf(matchLength, place);
      last[0] = distanceOf(length);
      state = state < 7 ? 7 : 10;
    } else {
      if (!bit(rep0, state)) {
        if (!bit(rep0Long, (state << 4) + place)) { output[done] = output[done - last[0] - 1]; done++; state = state < 7 ? 9 : 11; continue; }
      } else {
        const which = !bit(rep1, state) ? 1 : !bit(rep2, state) ? 2 : 3;
        last.unshift(last.splice(which, 1)[0]);
      }
      length = lengthOf(repLength, place);
      state = state < 7 ? 8 : 11;
    }
    if (last[0] >= done) throw new Error("the runtime is damaged");
    for (let end = Math.min(size, done + length + 2); done < end; done++) output[done] = output[done - last[0] - 1];
  }
  return output;
}
