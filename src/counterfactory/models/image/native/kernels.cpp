// Heavy blocks and stochastic layers of the hierarchical VAE on one CPU thread, forward and backward, in float32.
//
// Feature maps are stored as (pixel, channel, image). Sixteen images fill one vector register, so that operations use
// whole registers for any number of channels, and borders need no padding: kernel taps outside the map are skipped.
// Intermediate results of a block stay in the caches.
//
// Common arguments: H, W is the size of the map in px; V is the number of images / 16; a map of C channels has
// H * W * C * V vectors. "step" is the distance between two pixels, in vectors, if a map is a slice of the channels of
// another map.
// Weights are (out, in, k, k) in channels-last memory.

#include <cstdint>
#include <cstdlib>
#include <cstring>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

typedef float vec __attribute__((vector_size(64)));
typedef int ivec __attribute__((vector_size(64)));

namespace {

// Scratch memory of a call: blocks are allocated one after another and all released when the call ends.
struct Arena {
    static const int slots = 64;
    void* block[slots];
    size_t size[slots];
    int used;
};
thread_local Arena arena = {};

struct Scope {
    int mark;
    Scope() : mark(arena.used) {}
    ~Scope() { arena.used = mark; }
    template <typename T> T* take(size_t count) {
        int i = arena.used++;
        size_t bytes = (count * sizeof(T) + 4159) / 64 * 64;
        if (arena.size[i] < bytes) {
            free(arena.block[i]);
            arena.block[i] = aligned_alloc(64, bytes);
            arena.size[i] = bytes;
        }
        return static_cast<T*>(arena.block[i]);
    }
};

inline vec fill(float x) { return x - vec{}; }

inline float sum(vec x) {
    x += __builtin_shuffle(x, ivec{8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7});
    x += __builtin_shuffle(x, ivec{4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11});
    x += __builtin_shuffle(x, ivec{2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13});
    return x[0] + x[1];
}

#ifdef __AVX512F__
// x y + z; written as an intrinsic, because compilers that tune for AMD split some of these.
inline vec fused(vec x, vec y, vec z) { return (vec)_mm512_fmadd_ps((__m512)x, (__m512)y, (__m512)z); }
inline vec least(vec x, vec y) { return (vec)_mm512_min_ps((__m512)x, (__m512)y); }
inline vec greatest(vec x, vec y) { return (vec)_mm512_max_ps((__m512)x, (__m512)y); }
#else
inline vec fused(vec x, vec y, vec z) { return x * y + z; }
inline vec least(vec x, vec y) { return x < y ? x : y; }
inline vec greatest(vec x, vec y) { return x > y ? x : y; }
#endif

// Keeps a value in a register instead of loading it for every use.
inline void hold(vec& x) {
#ifdef __AVX512F__
    asm("" : "+v"(x));
#endif
}

// exp with an error of at most 2 units in the last place; the argument is clamped to [-87, 88].
inline vec exponential(vec x) {
    x = greatest(least(x, fill(88.0f)), fill(-87.0f));
    const float magic = 12582912.0f;
    vec t = fused(x, fill(1.44269504f), fill(magic));
    vec n = t - magic;
    ivec k = (ivec)t << 23;
    vec r = fused(n, fill(-0.693359375f), x);
    r = fused(n, fill(2.12194440e-4f), r);
    vec s = r * r;
    vec p = fused(fill(1.9875691500e-4f), r, fill(1.3981999507e-3f));
    vec o = fused(fill(8.3334519073e-3f), r, fill(4.1665795894e-2f));
    vec l = fused(fill(1.6666665459e-1f), r, fill(5.0000001201e-1f));
    p = fused(fused(p, s, o), s, l);
    p = fused(p, s, r + 1.0f);
    return (vec)((ivec)p + k);
}

// GELU(x) = max(x, 0) - U(|x|) with U(a) = a (1 - CDF(a)), and its derivative is U'(|x|) for x < 0, 1 - U'(|x|) else. Both
// functions are polynomials on 16 segments, centred on multiples of `width` and with coefficients of t = a / width
// - segment, lowest first.
const int terms = 6;
struct Tables {
    vec value[terms], slope[terms], per_width;
};
alignas(64) Tables tables;

#ifdef __AVX512F__
inline vec look_up(vec table, ivec at) { return (vec)_mm512_permutexvar_ps((__m512i)at, (__m512)table); }
#else
inline vec look_up(vec table, ivec at) { return __builtin_shuffle(table, at & 15); }
#endif

inline vec polynomial(const vec* table, ivec at, vec t) {
    vec p = look_up(table[terms - 1], at);
    for (int i = terms - 2; i >= 0; i--) p = fused(p, t, look_up(table[i], at));
    return p;
}

inline void segment(vec x, ivec& at, vec& t) {
    const float magic = 12582912.0f;
    vec a = (vec)((ivec)x & 0x7FFFFFFF) * tables.per_width;
    a = least(a, fill(15.49f));
    vec shifted = a + magic;
    at = (ivec)shifted;
    t = a - (shifted - magic);
}

inline vec gelu(vec x) {
    ivec at;
    vec t;
    segment(x, at, t);
    return greatest(x, vec{}) - polynomial(tables.value, at, t);
}

inline void gelu(vec x, vec& value, vec& slope) {
    ivec at;
    vec t;
    segment(x, at, t);
    value = greatest(x, vec{}) - polynomial(tables.value, at, t);
    vec s = polynomial(tables.slope, at, t);
    slope = x > 0.0f ? 1.0f - s : s;
}

// The inputs of one pixel of a convolution: the input pixel under each tap, and the weights (in, out) of the tap.
struct Taps {
    int count;
    const vec* x[9];
    const float* w[9];
};

template <int OB, int VB>
inline void accumulate(const Taps& taps, int v, int V, int in, int out, int o, const float* bias,
                       const vec* image_bias, vec* y) {
    vec acc[OB][VB];
    for (int b = 0; b < OB; b++)
        for (int j = 0; j < VB; j++) {
            acc[b][j] = fill(bias ? bias[o + b] : 0.0f);
            if (image_bias) acc[b][j] += image_bias[(o + b) * V + v + j];
        }
    for (int k = 0; k < taps.count; k++) {
        const vec* x = taps.x[k] + v;
        const float* w = taps.w[k] + o;
        for (int i = 0; i < in; i++, x += V, w += out) {
            vec xv[VB];
            for (int j = 0; j < VB; j++) hold(xv[j] = x[j]);
            for (int b = 0; b < OB; b++) {
                float s = w[b];
                for (int j = 0; j < VB; j++) acc[b][j] += xv[j] * s;
            }
        }
    }
    for (int b = 0; b < OB; b++)
        for (int j = 0; j < VB; j++) y[(o + b) * V + v + j] = acc[b][j];
}

template <int VB>
inline void pixel(const Taps& taps, int V, int in, int out, const float* bias, const vec* image_bias, vec* y) {
    for (int v = 0; v < V; v += VB) {
        int o = 0;
        for (; o + 8 <= out; o += 8) accumulate<8, VB>(taps, v, V, in, out, o, bias, image_bias, y);
        for (; o + 4 <= out; o += 4) accumulate<4, VB>(taps, v, V, in, out, o, bias, image_bias, y);
        for (; o < out; o++) accumulate<1, VB>(taps, v, V, in, out, o, bias, image_bias, y);
    }
}

inline void pixel(const Taps& taps, int V, int in, int out, const float* bias, const vec* image_bias, vec* y) {
    if (V % 2 == 0)
        pixel<2>(taps, V, in, out, bias, image_bias, y);
    else
        pixel<1>(taps, V, in, out, bias, image_bias, y);
}

inline void pixel(const vec* x, const float* w, int V, int in, int out, const float* bias, const vec* image_bias,
                  vec* y) {
    Taps taps;
    taps.count = 1;
    taps.x[0] = x;
    taps.w[0] = w;
    pixel(taps, V, in, out, bias, image_bias, y);
}

// (out, in, k, k) to (tap, in, out); `ld` is the number of input channels of the whole weight, `from` the first used.
float* pack(Scope& scope, const float* w, int out, int in, int k, int ld, int from) {
    float* packed = scope.take<float>(size_t(out) * in * k * k);
    for (int t = 0; t < k * k; t++)
        for (int i = 0; i < in; i++)
            for (int o = 0; o < out; o++) packed[(t * in + i) * out + o] = w[(o * k * k + t) * ld + from + i];
    return packed;
}

// The same for the gradient of the input: to (flipped tap, out, in).
float* pack_back(Scope& scope, const float* w, int out, int in, int k, int ld, int from) {
    float* packed = scope.take<float>(size_t(out) * in * k * k);
    for (int t = 0; t < k * k; t++)
        for (int o = 0; o < out; o++)
            for (int i = 0; i < in; i++)
                packed[((k * k - 1 - t) * out + o) * in + i] = w[(o * k * k + t) * ld + from + i];
    return packed;
}

Taps taps_at(const vec* x, int row, int column, int H, int W, int V, int in, int out, int k, const float* w) {
    Taps taps;
    taps.count = 0;
    for (int ky = 0; ky < k; ky++) {
        int yy = row + ky - k / 2;
        if (yy < 0 || yy >= H) continue;
        for (int kx = 0; kx < k; kx++) {
            int xx = column + kx - k / 2;
            if (xx < 0 || xx >= W) continue;
            taps.x[taps.count] = x + size_t(yy * W + xx) * in * V;
            taps.w[taps.count++] = w + (ky * k + kx) * in * out;
        }
    }
    return taps;
}

// Gradient of a weight: vectors (tap, out, in), which are summed over lanes at the end.
template <int OB, int IB, bool SUM>
inline void outer(const vec* dy, int dstep, const vec* x, int xstep, int rows0, int rows1, int cols0, int cols1,
                  int dy_, int dx_, int W, int V, int ld, vec* acc, vec* bias) {
    vec a[OB][IB], b[OB];
    if (SUM)
        for (int o = 0; o < OB; o++) b[o] = bias[o];
    for (int o = 0; o < OB; o++)
        for (int i = 0; i < IB; i++) a[o][i] = acc[o * ld + i];
    for (int r = rows0; r < rows1; r++)
        for (int c = cols0; c < cols1; c++) {
            const vec* d = dy + size_t(r * W + c) * dstep;
            const vec* p = x + size_t((r + dy_) * W + c + dx_) * xstep;
            for (int v = 0; v < V; v++) {
                vec xv[IB];
                for (int i = 0; i < IB; i++) hold(xv[i] = p[i * V + v]);
                for (int o = 0; o < OB; o++) {
                    vec dv = d[o * V + v];
                    hold(dv);
                    if (SUM) b[o] += dv;
                    for (int i = 0; i < IB; i++) a[o][i] += dv * xv[i];
                }
            }
        }
    for (int o = 0; o < OB; o++)
        for (int i = 0; i < IB; i++) acc[o * ld + i] = a[o][i];
    if (SUM)
        for (int o = 0; o < OB; o++) bias[o] = b[o];
}

// Adds the contribution of the rows [row0, row1) and columns [column0, column1) of dy; x has all H rows and starts at
// the first pixel of the map. If `bias` is not null, dy summed over pixels, (out) vectors, is added to it.
void weight_gradient_tile(const vec* dy, int dstep, int out, const vec* x, int xstep, int in, int row0, int row1,
                          int column0, int column1, int H, int W, int V, int k, vec* acc, vec* bias) {
    for (int ky = 0; ky < k; ky++)
        for (int kx = 0; kx < k; kx++) {
            int oy = ky - k / 2, ox = kx - k / 2;
            int r0 = row0 > -oy ? row0 : -oy, r1 = row1 < H - oy ? row1 : H - oy;
            int c0 = column0 > -ox ? column0 : -ox, c1 = column1 < W - ox ? column1 : W - ox;
            vec* tap = acc + size_t(ky * k + kx) * out * in;
            if (r0 >= r1 || c0 >= c1) continue;
            // The centre tap covers all of dy.
            const bool centre = bias && ky == k / 2 && kx == k / 2;
            int o = 0;
            for (; o + 4 <= out; o += 4) {
                int i = 0;
                for (; i + 4 <= in; i += 4)
                    (centre && i == 0 ? outer<4, 4, true> : outer<4, 4, false>)(
                        dy + o * V, dstep, x + i * V, xstep, r0, r1, c0, c1, oy, ox, W, V, in, tap + o * in + i,
                        bias + o);
                for (; i < in; i++)
                    (centre && i == 0 ? outer<4, 1, true> : outer<4, 1, false>)(
                        dy + o * V, dstep, x + i * V, xstep, r0, r1, c0, c1, oy, ox, W, V, in, tap + o * in + i,
                        bias + o);
            }
            for (; o < out; o++)
                for (int i = 0; i < in; i++)
                    (centre && i == 0 ? outer<1, 1, true> : outer<1, 1, false>)(
                        dy + o * V, dstep, x + i * V, xstep, r0, r1, c0, c1, oy, ox, W, V, in, tap + o * in + i,
                        bias + o);
        }
}

// Tile by tile, so that data that are read many times stay in the first-level cache.
void weight_gradient(const vec* dy, int dstep, int out, const vec* x, int xstep, int in, int row0, int row1, int H,
                     int W, int V, int k, vec* acc, vec* bias = nullptr) {
    const int tile = W * (row1 - row0) > 8 ? 8 : W;
    const int rows = W < 8 ? row1 - row0 : k == 1 || in <= 4 ? 1 : in <= 8 ? 2 : 4;
    for (int r = row0; r < row1; r += rows)
        for (int c = 0; c < W; c += tile)
            weight_gradient_tile(dy, dstep, out, x, xstep, in, r, r + rows < row1 ? r + rows : row1, c,
                                 c + tile < W ? c + tile : W, H, W, V, k, acc, bias);
}

vec* zeros(Scope& scope, size_t count) {
    vec* x = scope.take<vec>(count);
    memset(x, 0, count * sizeof(vec));
    return x;
}

// Sums vectors (tap, out, in) over lanes into dw (out, ld, k, k), at input channels from `from` on.
void unpack(const vec* acc, float* dw, int out, int in, int k, int ld, int from) {
    for (int t = 0; t < k * k; t++)
        for (int o = 0; o < out; o++)
            for (int i = 0; i < in; i++) dw[(o * k * k + t) * ld + from + i] = sum(acc[(t * out + o) * in + i]);
}

// Sums a map over pixels: to (C, V) vectors.
void sum_pixels(const vec* x, int pixels, int step, int channels, int V, vec* total) {
    for (int p = 0; p < pixels; p++)
        for (int i = 0; i < channels * V; i++) total[i] += x[size_t(p) * step + i];
}

void sum_images(const vec* total, int channels, int V, float* out) {
    for (int c = 0; c < channels; c++) {
        vec s = total[c * V];
        for (int v = 1; v < V; v++) s += total[c * V + v];
        out[c] = sum(s);
    }
}

// Transposes rows x columns, at most 16 x 16, through a square in the first-level cache: the distances between maps are
// powers of two, and 16 addresses at such distances evict each other from it.
void turn(const float* x, size_t xstep, int rows, int columns, float* y, size_t ystep) {
    alignas(64) float square[16][16];
    for (int r = 0; r < rows; r++) memcpy(square[r], x + r * xstep, columns * sizeof(float));
    for (int c = 0; c < columns; c++)
        for (int r = 0; r < rows; r++) y[c * ystep + r] = square[r][c];
}

int rows_at_once(int H, int W) {
    int rows = 8 / W;
    return rows < 1 ? 1 : rows > H ? H : rows;
}

}  // namespace

// The tables of GELU: (2, 6, 16) coefficients, of value and slope.
extern "C" void initialise(const float* coefficients, float width) {
    memcpy(tables.value, coefficients, sizeof(tables.value));
    memcpy(tables.slope, coefficients + terms * 16, sizeof(tables.slope));
    tables.per_width = fill(1.0f / width);
}

// weights: w1 b1 w2 b2 w3 b3 w4 b4 [wp bp]; residual: 0 none, 1 identity, 2 projection.
// If y is null, latent_forward computes the last convolution.
// w1 has ld1 input channels, of which the first c0 + c1 are maps; image_bias (inner, images) is the sum of the others.
extern "C" void block_forward(int H, int W, int V, int c0, const vec* x0, int c1, const vec* x1, int inner, int out,
                              int k, int ld1, int residual, const vec* image_bias, const float* const* weights,
                              vec* a1, vec* a2, vec* a3, vec* y) {
    Scope scope;
    const int in = c0 + c1, P = H * W;
    float* w1 = pack(scope, weights[0], inner, in, 1, ld1, 0);
    float* w2 = pack(scope, weights[2], inner, inner, k, inner, 0);
    float* w3 = pack(scope, weights[4], inner, inner, k, inner, 0);
    float* w4 = pack(scope, weights[6], out, inner, 1, inner, 0);
    float* wp = residual == 2 ? pack(scope, weights[8], out, c0, 1, c0, 0) : nullptr;
    vec* joined = scope.take<vec>(in * V);
    vec* g = scope.take<vec>(size_t(P) * inner * V);
    vec* g2 = scope.take<vec>(size_t(P) * inner * V);
    vec* last = scope.take<vec>(inner * V);
    vec* through = scope.take<vec>(out * V);
    const int m = inner * V;
    for (int p = 0; p < P; p++) {
        for (int i = 0; i < c0 * V; i++) joined[i] = gelu(x0[size_t(p) * c0 * V + i]);
        for (int i = 0; i < c1 * V; i++) joined[c0 * V + i] = gelu(x1[size_t(p) * c1 * V + i]);
        pixel(joined, w1, V, in, inner, weights[1], image_bias, a1 + p * m);
        for (int i = 0; i < m; i++) g[p * m + i] = gelu(a1[p * m + i]);
    }
    for (int r = 0; r < H; r++)
        for (int c = 0; c < W; c++) {
            int p = r * W + c;
            Taps taps = taps_at(g, r, c, H, W, V, inner, inner, k, w2);
            pixel(taps, V, inner, inner, weights[3], nullptr, a2 + p * m);
            for (int i = 0; i < m; i++) g2[p * m + i] = gelu(a2[p * m + i]);
        }
    for (int r = 0; r < H; r++)
        for (int c = 0; c < W; c++) {
            int p = r * W + c;
            Taps taps = taps_at(g2, r, c, H, W, V, inner, inner, k, w3);
            pixel(taps, V, inner, inner, weights[5], nullptr, a3 + p * m);
            if (!y) continue;
            for (int i = 0; i < m; i++) last[i] = gelu(a3[p * m + i]);
            const vec* add = nullptr;
            if (residual == 1) add = x0 + size_t(p) * c0 * V;
            if (residual == 2) {
                pixel(x0 + size_t(p) * c0 * V, wp, V, c0, out, weights[9], nullptr, through);
                add = through;
            }
            pixel(last, w4, V, inner, out, weights[7], add, y + size_t(p) * out * V);
        }
}

// If dy is null, latent_backward has computed the gradient da3 of the input of the last GELU.
// `extra`, if not null, is added to dx0; grads are in the order of the weights; d_image_bias (inner, images).
extern "C" void block_backward(int H, int W, int V, int c0, const vec* x0, int c1, const vec* x1, int inner, int out,
                               int k, int ld1, int residual, const float* const* weights, const vec* a1,
                               const vec* a2, const vec* a3, const vec* dy, const vec* da3_given,
                               const vec* extra, vec* dx0, vec* dx1,
                               vec* d_image_bias, float* const* grads) {
    Scope scope;
    const int in = c0 + c1, P = H * W, m = inner * V, R = rows_at_once(H, W);
    float* w1 = pack_back(scope, weights[0], inner, in, 1, ld1, 0);
    float* w2 = pack_back(scope, weights[2], inner, inner, k, inner, 0);
    float* w3 = pack_back(scope, weights[4], inner, inner, k, inner, 0);
    float* w4 = pack_back(scope, weights[6], out, inner, 1, inner, 0);
    float* wp = residual == 2 ? pack_back(scope, weights[8], out, c0, 1, c0, 0) : nullptr;
    vec* acc1 = zeros(scope, size_t(inner) * in);
    vec* acc2 = zeros(scope, size_t(inner) * inner * k * k);
    vec* acc3 = zeros(scope, size_t(inner) * inner * k * k);
    vec* acc4 = zeros(scope, size_t(out) * inner);
    vec* accp = residual == 2 ? zeros(scope, size_t(out) * c0) : nullptr;
    vec* da3_made = scope.take<vec>(dy ? size_t(P) * m : 1);
    const vec* da3 = dy ? da3_made : da3_given;
    vec* da2 = scope.take<vec>(size_t(P) * m);
    vec* da1 = scope.take<vec>(size_t(P) * m);
    vec* g2 = scope.take<vec>(size_t(P) * m);
    vec* g1 = scope.take<vec>(size_t(P) * m);
    vec* g3 = scope.take<vec>(size_t(R) * W * m);
    vec* gx = scope.take<vec>(size_t(R) * W * in * V);
    vec* slopes = scope.take<vec>(size_t(in) * V);
    vec* d = scope.take<vec>(size_t(in > inner ? in : inner) * V);
    vec* through = scope.take<vec>(c0 * V);
    vec *b4 = zeros(scope, out), *b3 = zeros(scope, inner), *b2 = zeros(scope, inner), *b1 = zeros(scope, m);

    for (int r = 0; dy && r < H; r += R) {
        int end = r + R < H ? r + R : H;
        for (int p = r * W; p < end * W; p++) {
            pixel(dy + size_t(p) * out * V, w4, V, out, inner, nullptr, nullptr, d);
            for (int i = 0; i < m; i++) {
                vec slope;
                gelu(a3[p * m + i], g3[(p - r * W) * m + i], slope);
                da3_made[p * m + i] = d[i] * slope;
            }
        }
        const vec* rows = dy + size_t(r) * W * out * V;
        weight_gradient(rows, out * V, out, g3, m, inner, 0, end - r, end - r, W, V, 1, acc4, b4);
        if (residual == 2)
            weight_gradient(rows, out * V, out, x0 + size_t(r) * W * c0 * V, c0 * V, c0, 0, end - r, end - r, W, V, 1,
                            accp);
    }
    for (int r = 0; r < H; r++)
        for (int c = 0; c < W; c++) {
            int p = r * W + c;
            Taps taps = taps_at(da3, r, c, H, W, V, inner, inner, k, w3);
            pixel(taps, V, inner, inner, nullptr, nullptr, d);
            for (int i = 0; i < m; i++) {
                vec slope;
                gelu(a2[p * m + i], g2[p * m + i], slope);
                da2[p * m + i] = d[i] * slope;
            }
        }
    weight_gradient(da3, m, inner, g2, m, inner, 0, H, H, W, V, k, acc3, b3);
    for (int r = 0; r < H; r++)
        for (int c = 0; c < W; c++) {
            int p = r * W + c;
            Taps taps = taps_at(da2, r, c, H, W, V, inner, inner, k, w2);
            pixel(taps, V, inner, inner, nullptr, nullptr, d);
            for (int i = 0; i < m; i++) {
                vec slope;
                gelu(a1[p * m + i], g1[p * m + i], slope);
                da1[p * m + i] = d[i] * slope;
            }
        }
    weight_gradient(da2, m, inner, g1, m, inner, 0, H, H, W, V, k, acc2, b2);
    sum_pixels(da1, P, m, inner, V, b1);
    for (int r = 0; r < H; r += R) {
        int end = r + R < H ? r + R : H;
        for (int p = r * W; p < end * W; p++) {
            vec* g = gx + size_t(p - r * W) * in * V;
            for (int i = 0; i < c0 * V; i++) gelu(x0[size_t(p) * c0 * V + i], g[i], slopes[i]);
            for (int i = 0; i < c1 * V; i++)
                gelu(x1[size_t(p) * c1 * V + i], g[c0 * V + i], slopes[c0 * V + i]);
            pixel(da1 + p * m, w1, V, inner, in, nullptr, nullptr, d);
            vec* to = dx0 + size_t(p) * c0 * V;
            for (int i = 0; i < c0 * V; i++) to[i] = d[i] * slopes[i];
            if (residual == 1)
                for (int i = 0; i < c0 * V; i++) to[i] += dy[size_t(p) * c0 * V + i];
            if (residual == 2) {
                pixel(dy + size_t(p) * out * V, wp, V, out, c0, nullptr, nullptr, through);
                for (int i = 0; i < c0 * V; i++) to[i] += through[i];
            }
            if (extra)
                for (int i = 0; i < c0 * V; i++) to[i] += extra[size_t(p) * c0 * V + i];
            for (int i = 0; i < c1 * V; i++)
                dx1[size_t(p) * c1 * V + i] = d[c0 * V + i] * slopes[c0 * V + i];
        }
        weight_gradient(da1 + r * W * m, m, inner, gx, in * V, in, 0, end - r, end - r, W, V, 1, acc1);
    }
    unpack(acc1, grads[0], inner, in, 1, ld1, 0);
    unpack(acc2, grads[2], inner, inner, k, inner, 0);
    unpack(acc3, grads[4], inner, inner, k, inner, 0);
    if (dy) unpack(acc4, grads[6], out, inner, 1, inner, 0);
    sum_images(b1, inner, V, grads[1]);
    sum_images(b2, inner, 1, grads[3]);
    sum_images(b3, inner, 1, grads[5]);
    if (dy) sum_images(b4, out, 1, grads[7]);
    if (residual == 2) {
        unpack(accp, grads[8], out, c0, 1, c0, 0);
        sum_images(b4, out, 1, grads[9]);
    }
    if (d_image_bias) memcpy(d_image_bias, b1, m * sizeof(vec));
}

// The last convolutions of prior and posterior, from their activations a3p and a3q, and the stochastic layer.
// p is (location Z, log scale Z, features w), q is (location Z, log scale Z); neither is stored.
// weights: from_latent w b, to_prior w b, last of prior w b, last of posterior w b.
// z = m_q + s_q noise; u = h + features + from_latent(z) + image_bias; state = to_prior(z, features).
extern "C" void latent_forward(int P, int V, int Z, int w, int ws, int ldz, int inner, const vec* a3p, const vec* a3q,
                               const vec* noise, const vec* h, const vec* image_bias, const float* const* weights,
                               vec* z, float* kl, vec* u, vec* state) {
    Scope scope;
    const int n = Z * V, m = inner * V, np = 2 * Z + w;
    float* wz = pack(scope, weights[0], w, Z, 1, ldz, 0);
    float* wsz = state ? pack(scope, weights[2], ws, Z + w, 1, Z + w, 0) : nullptr;
    float* wp = pack(scope, weights[4], np, inner, 1, inner, 0);
    float* wq = pack(scope, weights[6], 2 * Z, inner, 1, inner, 0);
    vec* total = zeros(scope, n);
    vec* add = scope.take<vec>(w * V);
    vec* joined = scope.take<vec>((Z + w) * V);
    vec* g = scope.take<vec>(m);
    vec* p = scope.take<vec>(np * V);
    vec* q = scope.take<vec>(2 * n);
    for (int i = 0; i < P; i++) {
        for (int c = 0; c < m; c++) g[c] = gelu(a3p[size_t(i) * m + c]);
        pixel(g, wp, V, inner, np, weights[5], nullptr, p);
        for (int c = 0; c < m; c++) g[c] = gelu(a3q[size_t(i) * m + c]);
        pixel(g, wq, V, inner, 2 * Z, weights[7], nullptr, q);
        const vec *pm = p, *ps = pm + n, *features = ps + n, *qm = q, *qs = q + n, *e = noise + size_t(i) * n;
        for (int c = 0; c < n; c++) {
            vec sq = exponential(qs[c]), ip = exponential(-ps[c]);
            vec ratio = sq * ip, distance = (qm[c] - pm[c]) * ip;
            joined[c] = qm[c] + sq * e[c];
            total[c] += ps[c] - qs[c] - 0.5f + 0.5f * (ratio * ratio + distance * distance);
        }
        memcpy(z + size_t(i) * n, joined, n * sizeof(vec));
        for (int c = 0; c < w * V; c++) add[c] = h[size_t(i) * w * V + c] + features[c] + image_bias[c];
        pixel(joined, wz, V, Z, w, weights[1], add, u + size_t(i) * w * V);
        if (state) {
            memcpy(joined + n, features, w * V * sizeof(vec));
            pixel(joined, wsz, V, Z + w, ws, weights[3], nullptr, state + size_t(i) * ws * V);
        }
    }
    sum_images(total, Z, V, kl);
}

extern "C" void latent_backward(int P, int V, int Z, int w, int ws, int ldz, int inner, const vec* a3p,
                                const vec* a3q, const vec* noise, const vec* du, const vec* dstate, const vec* dz,
                                const float* dkl, const float* const* weights, vec* da3p, vec* da3q,
                                vec* d_image_bias, float* const* grads) {
    Scope scope;
    const int n = Z * V, m = inner * V, np = 2 * Z + w, chunk = 8;
    float* wz = pack_back(scope, weights[0], w, Z, 1, ldz, 0);
    float* wsz = dstate ? pack_back(scope, weights[2], ws, Z + w, 1, Z + w, 0) : nullptr;
    float* wp = pack(scope, weights[4], np, inner, 1, inner, 0);
    float* wq = pack(scope, weights[6], 2 * Z, inner, 1, inner, 0);
    float* wpb = pack_back(scope, weights[4], np, inner, 1, inner, 0);
    float* wqb = pack_back(scope, weights[6], 2 * Z, inner, 1, inner, 0);
    vec* accz = zeros(scope, size_t(w) * Z);
    vec* accs = zeros(scope, size_t(ws) * Z);
    vec* accf = zeros(scope, size_t(ws) * w);
    vec* accp = zeros(scope, size_t(np) * inner);
    vec* accq = zeros(scope, size_t(2 * Z) * inner);
    vec *bu = zeros(scope, w * V), *bs = zeros(scope, ws), *bp = zeros(scope, np), *bq = zeros(scope, 2 * Z);
    vec* direct = scope.take<vec>(n);
    vec* d = zeros(scope, (Z + w) * V);
    vec* back = scope.take<vec>(m);
    vec *gp = scope.take<vec>(chunk * m), *gq = scope.take<vec>(chunk * m), *slope = scope.take<vec>(2 * m);
    vec *p = scope.take<vec>(chunk * np * V), *q = scope.take<vec>(2 * n), *z = scope.take<vec>(chunk * n);
    vec *dp = scope.take<vec>(chunk * np * V), *dq = scope.take<vec>(chunk * 2 * n);
    for (int start = 0; start < P; start += chunk) {
        const int end = start + chunk < P ? start + chunk : P, count = end - start;
        for (int i = start; i < end; i++) {
            const int j = i - start;
            for (int c = 0; c < m; c++) gelu(a3p[size_t(i) * m + c], gp[j * m + c], slope[c]);
            for (int c = 0; c < m; c++) gelu(a3q[size_t(i) * m + c], gq[j * m + c], slope[m + c]);
            vec *pm = p + j * np * V, *ps = pm + n, *qm = q, *qs = q + n;
            pixel(gp + j * m, wp, V, inner, np, weights[5], nullptr, pm);
            pixel(gq + j * m, wq, V, inner, 2 * Z, weights[7], nullptr, q);
            const vec *e = noise + size_t(i) * n, *dui = du + size_t(i) * w * V;
            vec *dpm = dp + j * np * V, *dps = dpm + n, *df = dps + n, *dqm = dq + j * 2 * n, *dqs = dqm + n;
            if (dz) memcpy(direct, dz + size_t(i) * n, n * sizeof(vec));
            pixel(dui, wz, V, w, Z, nullptr, dz ? direct : nullptr, direct);
            if (dstate) pixel(dstate + size_t(i) * ws * V, wsz, V, ws, Z + w, nullptr, nullptr, d);
            for (int c = 0; c < w * V; c++) df[c] = dui[c] + d[n + c];
            for (int c = 0; c < n; c++) {
                float k = dkl[c / V];
                vec sq = exponential(qs[c]), ip = exponential(-ps[c]);
                vec ratio = sq * ip, distance = (qm[c] - pm[c]) * ip, total = direct[c] + d[c];
                vec pull = k * distance * ip, excess = k * (ratio * ratio - 1.0f), spread = sq * e[c];
                z[j * n + c] = qm[c] + spread;
                dqm[c] = total + pull;
                dqs[c] = total * spread + excess;
                dpm[c] = -pull;
                dps[c] = -excess - k * distance * distance;
            }
            pixel(dpm, wpb, V, np, inner, nullptr, nullptr, back);
            for (int c = 0; c < m; c++) da3p[size_t(i) * m + c] = back[c] * slope[c];
            pixel(dqm, wqb, V, 2 * Z, inner, nullptr, nullptr, back);
            for (int c = 0; c < m; c++) da3q[size_t(i) * m + c] = back[c] * slope[m + c];
        }
        const vec* dus = du + size_t(start) * w * V;
        weight_gradient(dp, np * V, np, gp, m, inner, 0, count, count, 1, V, 1, accp, bp);
        weight_gradient(dq, 2 * n, 2 * Z, gq, m, inner, 0, count, count, 1, V, 1, accq, bq);
        weight_gradient(dus, w * V, w, z, n, Z, 0, count, count, 1, V, 1, accz);
        sum_pixels(dus, count, w * V, w, V, bu);
        if (dstate) {
            const vec* ds = dstate + size_t(start) * ws * V;
            weight_gradient(ds, ws * V, ws, z, n, Z, 0, count, count, 1, V, 1, accs, bs);
            weight_gradient(ds, ws * V, ws, p + 2 * n, np * V, w, 0, count, count, 1, V, 1, accf);
        }
    }
    unpack(accz, grads[0], w, Z, 1, ldz, 0);
    sum_images(bu, w, V, grads[1]);
    memcpy(d_image_bias, bu, w * V * sizeof(vec));
    if (dstate) {
        unpack(accs, grads[2], ws, Z, 1, Z + w, 0);
        unpack(accf, grads[2], ws, w, 1, Z + w, Z);
        sum_images(bs, ws, 1, grads[3]);
    }
    unpack(accp, grads[4], np, inner, 1, inner, 0);
    sum_images(bp, np, 1, grads[5]);
    unpack(accq, grads[6], 2 * Z, inner, 1, inner, 0);
    sum_images(bq, 2 * Z, 1, grads[7]);
}

// Nearest-neighbour upsampling by a factor t, plus a map (H t, W t, C).
extern "C" void enlarge_forward(int H, int W, int t, int C, int V, const vec* x, const float* bias, vec* y) {
    for (int r = 0; r < H * t; r++)
        for (int c = 0; c < W * t; c++) {
            const vec* from = x + size_t((r / t) * W + c / t) * C * V;
            for (int i = 0; i < C; i++, bias++)
                for (int v = 0; v < V; v++) *y++ = from[i * V + v] + *bias;
        }
}

extern "C" void enlarge_backward(int H, int W, int t, int C, int V, const vec* dy, vec* dx, float* dbias) {
    memset(dx, 0, size_t(H) * W * C * V * sizeof(vec));
    for (int r = 0; r < H * t; r++)
        for (int c = 0; c < W * t; c++) {
            vec* to = dx + size_t((r / t) * W + c / t) * C * V;
            for (int i = 0; i < C; i++) {
                vec total = {};
                for (int v = 0; v < V; v++, dy++) {
                    to[i * V + v] += *dy;
                    total += *dy;
                }
                *dbias++ = sum(total);
            }
        }
}

// Average pooling over t x t pixels; H, W is the size of the smaller map.
extern "C" void pool_forward(int H, int W, int t, int C, int V, const vec* x, vec* y) {
    const int n = C * V;
    memset(y, 0, size_t(H) * W * n * sizeof(vec));
    for (int r = 0; r < H * t; r++)
        for (int c = 0; c < W * t; c++) {
            vec* to = y + size_t((r / t) * W + c / t) * n;
            for (int i = 0; i < n; i++) to[i] += *x++ * (1.0f / (t * t));
        }
}

extern "C" void pool_backward(int H, int W, int t, int C, int V, const vec* dy, vec* dx) {
    const int n = C * V;
    for (int r = 0; r < H * t; r++)
        for (int c = 0; c < W * t; c++) {
            const vec* from = dy + size_t((r / t) * W + c / t) * n;
            for (int i = 0; i < n; i++) *dx++ = from[i] * (1.0f / (t * t));
        }
}

// A 1x1 convolution: weight (out, in).
extern "C" void pointwise_forward(int P, int V, int in, int out, const vec* x, const float* weight,
                                  const float* bias, vec* y) {
    Scope scope;
    float* w = pack(scope, weight, out, in, 1, in, 0);
    for (int p = 0; p < P; p++) pixel(x + size_t(p) * in * V, w, V, in, out, bias, nullptr, y + size_t(p) * out * V);
}

extern "C" void pointwise_backward(int H, int W, int V, int in, int out, const vec* x, const float* weight,
                                   const vec* dy, vec* dx, float* dweight, float* dbias) {
    Scope scope;
    float* w = pack_back(scope, weight, out, in, 1, in, 0);
    vec* acc = zeros(scope, size_t(out) * in);
    vec* total = zeros(scope, out);
    for (int p = 0; p < H * W; p++)
        pixel(dy + size_t(p) * out * V, w, V, out, in, nullptr, nullptr, dx + size_t(p) * in * V);
    weight_gradient(dy, out * V, out, x, in * V, in, 0, H, H, W, V, 1, acc, total);
    unpack(acc, dweight, out, in, 1, in, 0);
    sum_images(total, out, 1, dbias);
}

// (image, channel, pixel) to (pixel, channel, image).
extern "C" void interleave(int B, int C, int P, const float* x, float* y) {
    for (int c = 0; c < C; c++)
        for (int p = 0; p < P; p += 16)
            for (int b = 0; b < B; b += 16)
                turn(x + (size_t(b) * C + c) * P + p, size_t(C) * P, 16, P - p < 16 ? P - p : 16,
                     y + (size_t(p) * C + c) * B + b, size_t(C) * B);
}

// (pixel and channel, image) to (image, pixel and channel).
extern "C" void deinterleave(int B, int N, const float* x, float* y) {
    for (int n = 0; n < N; n += 16)
        for (int b = 0; b < B; b += 16)
            turn(x + size_t(n) * B + b, B, N - n < 16 ? N - n : 16, 16, y + size_t(b) * N + n, N);
}
