"use strict";
// Computes the optimal transport of the latents between two joint classes of the categorical parents.

/** Returns the product of two matrices (n, n) of 64-bit numbers, row by row. */
function product(a, b, n) {
  const found = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const row = found.subarray(i * n, (i + 1) * n);
    for (let k = 0; k < n; k++) {
      const factor = a[i * n + k], other = k * n;
      for (let j = 0; j < n; j++) row[j] += factor * b[other + j];
    }
  }
  return found;
}

/**
 * Returns the inverse square root of a symmetric positive definite matrix (n, n).
 *
 * By the coupled Newton-Schulz iteration (Higham, 2008, doi:10.1137/1.9780898717778, chapter 6), which converges
 * because the eigenvalues of the matrix over its Frobenius norm are in (0, 1].
 */
function inverseRoot(matrix, n) {
  const norm = Math.sqrt(matrix.reduce((sum, value) => sum + value * value, 0));
  let root = matrix.map((value) => value / norm), inverse = new Float64Array(n * n), last = Infinity;
  for (let i = 0; i < n; i++) inverse[i * n + i] = 1;
  for (let round = 0; round < 100; round++) {
    const step = product(inverse, root, n); // tends to the identity
    let error = 0;
    for (let k = 0; k < n * n; k++) {
      const one = k % (n + 1) === 0 ? 1 : 0;
      error = Math.max(error, Math.abs(step[k] - one));
      step[k] = 1.5 * one - 0.5 * step[k];
    }
    root = product(root, step, n);
    inverse = product(step, inverse, n);
    if (error < 1e-6 || (error < 0.1 && error >= last)) break; // small errors are squared in each round
    last = error;
  }
  return inverse.map((value) => value / Math.sqrt(norm));
}

/** The moments of the noises of one method, and the maps between its classes. */
class Transport {
  /**
   * Arguments: the variables; the description of the method with `size` D, the joint `classes` whose noises are moved,
   * `low` and `step`; and the bytes: means, float32 (K, D), and upper triangles of the roots of covariances, uint16.
   */
  constructor(variables, { size, classes, low, step }, bytes) {
    const { buffer, byteOffset } = bytes, count = classes.length, half = (size * (size + 1)) / 2;
    Object.assign(this, { size, classes, low, step, half, maps: {} });
    this.variables = variables.filter((v) => v.kind === "categorical");
    this.means = new Float32Array(buffer.slice(byteOffset, byteOffset + 4 * count * size));
    this.roots = new Uint16Array(buffer.slice(byteOffset + 4 * count * size, byteOffset + 4 * count * size + 2 * count * half));
  }

  /** Returns the place of the joint class of parents among the classes that are moved, or -1. */
  place(parents) {
    return this.classes.indexOf(this.variables.reduce((joint, v) => joint * v.classes + Math.round(parents[v.name]), 0));
  }

  /** Returns the root of the covariance of a class, (D, D). */
  root(place) {
    const { size } = this, found = new Float64Array(size * size);
    for (let i = 0, k = place * this.half; i < size; i++) for (let j = i; j < size; j++, k++) found[i * size + j] = found[j * size + i] = this.low + this.step * this.roots[k];
    return found;
  }

  /** Returns the matrix, float32 (D, D), and the shift, float32 (D), between parents; the identity where none is moved. */
  between(before, after) {
    const source = this.place(before), target = this.place(after), { size } = this;
    if (source === target || source < 0 || target < 0) return this.identity ??= { matrix: Float32Array.from({ length: size * size }, (_, k) => (k % (size + 1) === 0 ? 1 : 0)), shift: new Float32Array(size) };
    return this.maps[`${source} ${target}`] ??= this.optimal(source, target);
  }

  /** Returns the optimal transport R_t (R_t R_s R_s R_t)^(-1/2) R_t, with R the roots of the covariances of two classes. */
  optimal(source, target) {
    const { size, means } = this, own = this.root(source), other = this.root(target), half = product(other, own, size);
    const transposed = product(own, other, size);
    const matrix = product(product(other, inverseRoot(product(half, transposed, size), size), size), other, size);
    const shift = Float32Array.from({ length: size }, (_, i) => {
      let moved = 0;
      for (let j = 0; j < size; j++) moved += matrix[i * size + j] * means[source * size + j];
      return means[target * size + i] - moved;
    });
    return { matrix: Float32Array.from(matrix), shift };
  }
}
