// NNGP and NTK of L times [Conv(3, W_std=sqrt 2), Relu], then GlobalAvgPool and Dense, between
// images of C channels with zero edges: float32, one core.
//
// A 3x3 convolution never mixes pairs of pixels (p, p + d) of different displacement d, so the
// planes K_d[p] = K[p, p + d] evolve alone, and all layers of one plane run while it is in cache.
//
// The wrapper defines ARCCOS and SINE, eight coefficients each, ascending: on 0 <= r <= 1
//     arccos(r) = sqrt(1 - r) ARCCOS(r),    sqrt(1 - r^2) = sqrt(1 - r) SINE(r).
// Planes hold 2/9 K and 2/9 (K + T), T the tangent kernel: sums of nine of them are the next
// convolution's K and T, whose own weights add K.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef __AVX512F__
#define PAIRS 16
#else
#define PAIRS 8
#endif
#define WEIGHT (2.f / 9)
#define PI 3.14159265358979f
#define EQUAL (8 * 1.1920929e-7f)

static const float arccos_of[8] = {ARCCOS};
static const float sine_of[8] = {SINE};

typedef float Lanes __attribute__((vector_size(4 * PAIRS)));
typedef int Bits __attribute__((vector_size(4 * PAIRS)));

#define INLINE static inline __attribute__((always_inline))

INLINE Lanes where(Bits yes, Lanes a, Lanes b) {
    return (Lanes)((yes & (Bits)a) | (~yes & (Bits)b));
}

// Correlations within 8 eps of 1 are 1.
#ifdef __AVX512F__
#include <immintrin.h>
INLINE Lanes root_of(Lanes x) { return (Lanes)_mm512_sqrt_ps((__m512)x); }
INLINE Lanes clamped(Lanes size) {
    __mmask16 equal = _mm512_cmp_ps_mask((__m512)size, _mm512_set1_ps(1 - EQUAL), _CMP_GT_OQ);
    return (Lanes)_mm512_mask_mov_ps((__m512)size, equal, _mm512_set1_ps(1));
}
#else
INLINE Lanes root_of(Lanes x) {
    for (int e = 0; e < PAIRS; e++) x[e] = sqrtf(x[e]);
    return x;
}
INLINE Lanes clamped(Lanes size) { return where(size > 1 - EQUAL, (Lanes){0} + 1.f, size); }
#endif

INLINE Lanes polynomial(const float c[8], float scale, Lanes x) {
    Lanes y = (Lanes){0} + c[7] * scale;
    for (int n = 6; n >= 0; n--) y = y * x + c[n] * scale;
    return y;
}

// From rho: turn = 2/9 (pi - theta) / 2 pi, and the return value
// 2/9 (sin theta + (pi - theta) cos theta) / 2 pi. After a ReLU no correlation is negative.
INLINE Lanes relu(Lanes rho, int may_be_negative, Lanes *turn) {
    const float unit = WEIGHT / (2 * PI);
    Lanes size = rho;
    Bits sign = {0};
    if (may_be_negative) {
        sign = (Bits)rho & (int)0x80000000;
        size = (Lanes)((Bits)rho ^ sign);
    }
    size = clamped(size);
    Lanes root = root_of(1 - size);
    Lanes sine = root * polynomial(sine_of, unit, size);
    Lanes acute = root * polynomial(arccos_of, unit, size);
    if (may_be_negative) {
        *turn = where(sign != 0, acute, WEIGHT / 2 - acute);
        size = (Lanes)((Bits)size ^ sign);
    } else {
        *turn = WEIGHT / 2 - acute;
    }
    return sine + *turn * size;
}

// Per layer and pixel: deviations sqrt(v) before the ReLU and 1 / sqrt(v), 0 where v is 0.
static void record(const float *x, int H, int W, int C, int L, float *v, float *dev, float *inv,
                   int step) {
    for (int p = 0; p < H * W; p++) {
        float sum = 0;
        for (int c = 0; c < C; c++) sum += x[p * C + c] * x[p * C + c];
        v[p] = sum / C;
    }
    for (int l = 0; l < L; l++) {
        float *d = dev + (size_t)l * H * W * step, *r = inv + (size_t)l * H * W * step;
        for (int i = 0; i < H; i++)
            for (int j = 0; j < W; j++) {
                float sum = 0;
                for (int a = i ? i - 1 : 0; a <= i + 1 && a < H; a++)
                    for (int b = j ? j - 1 : 0; b <= j + 1 && b < W; b++) sum += v[a * W + b];
                float root = sqrtf(WEIGHT * sum);
                d[(i * W + j) * step] = root;
                r[(i * W + j) * step] = root > 0 ? 1 / root : 0;
            }
        for (int p = 0; p < H * W; p++) v[p] = d[p * step] * d[p * step] / 2;
    }
}

typedef struct {
    int rows, columns, stride;  // of the plane; of its array
    int W;                      // of the images
    const float *dev1, *inv1;   // at the plane's first pixel, of this layer
    const Lanes *dev2, *inv2;
} Plane;

// `rows` rows of one layer, from row i on; each column is summed once for all of them.
INLINE void layer_rows(const Plane *p, const Lanes *k, const Lanes *u, Lanes *ko, Lanes *uo, int i,
                       const int rows, const int first, const int last, Lanes *sum_k,
                       Lanes *sum_u) {
    const int S = p->stride, n = p->columns;
    const float *dev1 = p->dev1 + i * p->W, *inv1 = p->inv1 + i * p->W;
    const Lanes *dev2 = p->dev2 + i * p->W, *inv2 = p->inv2 + i * p->W;
    k += (i + 1) * S + 1, u += (i + 1) * S + 1, ko += (i + 1) * S + 1, uo += (i + 1) * S + 1;
    Lanes k0[2], k1[2], k2[2], u0[2], u1[2], u2[2];
#define COLUMN(out, of, j)                                        \
    do {                                                          \
        Lanes up = of[(j) - S], here = of[j], down = of[(j) + S]; \
        if (rows == 2) {                                          \
            Lanes both = here + down;                             \
            out[0] = up + both, out[1] = both + of[(j) + 2 * S];  \
        } else                                                    \
            out[0] = up + here + down;                            \
    } while (0)
    for (int r = 0; r < rows; r++) k0[r] = u0[r] = (Lanes){0};
    COLUMN(k1, k, 0);
    if (!first) COLUMN(u1, u, 0);
#pragma GCC unroll 3
    for (int j = 0; j < n; j++) {
        COLUMN(k2, k, j + 1);
        if (!first) COLUMN(u2, u, j + 1);
        for (int r = 0; r < rows; r++) {
            const int at = r * p->W + j;
            Lanes cov = k0[r] + k1[r] + k2[r];
            Lanes tangent = first ? cov : u0[r] + u1[r] + u2[r];
            Lanes turn;
            Lanes both = relu(cov * (inv1[at] * inv2[at]), first, &turn);
            Lanes a = both * (dev1[at] * dev2[at]), b = turn * tangent + a;
            if (last)
                *sum_k += a, *sum_u += b;
            else
                ko[r * S + j] = a, uo[r * S + j] = b;
        }
        for (int r = 0; r < rows; r++) {
            k0[r] = k1[r], k1[r] = k2[r];
            if (!first) u0[r] = u1[r], u1[r] = u2[r];
        }
    }
}

INLINE void layer(const Plane *p, const Lanes *k, const Lanes *u, Lanes *ko, Lanes *uo,
                  const int first, const int last, Lanes *sum_k, Lanes *sum_u) {
    int i = 0;
    for (; i + 1 < p->rows; i += 2) layer_rows(p, k, u, ko, uo, i, 2, first, last, sum_k, sum_u);
    if (i < p->rows) layer_rows(p, k, u, ko, uo, i, 1, first, last, sum_k, sum_u);
}

static void layer_first(const Plane *p, const Lanes *k, Lanes *ko, Lanes *uo) {
    layer(p, k, k, ko, uo, 1, 0, 0, 0);
}
static void layer_inner(const Plane *p, const Lanes *k, const Lanes *u, Lanes *ko, Lanes *uo) {
    layer(p, k, u, ko, uo, 0, 0, 0, 0);
}
static void layer_last(const Plane *p, const Lanes *k, const Lanes *u, Lanes *sum_k, Lanes *sum_u) {
    Lanes a = {0}, b = {0};
    layer(p, k, u, 0, 0, 0, 1, &a, &b);
    *sum_k += a, *sum_u += b;
}
static void layer_only(const Plane *p, const Lanes *k, Lanes *sum_k, Lanes *sum_u) {
    Lanes a = {0}, b = {0};
    layer(p, k, k, 0, 0, 1, 1, &a, &b);
    *sum_k += a, *sum_u += b;
}

static void border(Lanes *k, int rows, int columns, int stride) {
    memset(k, 0, sizeof(Lanes) * (columns + 2));
    memset(k + (rows + 1) * stride, 0, sizeof(Lanes) * (columns + 2));
    for (int i = 1; i <= rows; i++) k[i * stride] = k[i * stride + columns + 1] = (Lanes){0};
}

static void *lanes(size_t n) { return aligned_alloc(sizeof(Lanes), n * sizeof(Lanes)); }

// Displacement (dh, dw) pairs pixel from + i W + j of image 1 with to + i W + j of image 2.
typedef struct {
    int rows, columns, from, to;
} Overlap;

static Overlap overlap(int dh, int dw, int H, int W) {
    const int from = (dh < 0 ? -dh : 0) * W + (dw < 0 ? -dw : 0);
    return (Overlap){H - abs(dh), W - abs(dw), from, from + dh * W + dw};
}

// x1 (n1, H, W, C), x2 (n2, H, W, C); nngp and ntk (n1, n2). PAIRS images of x2 go side by side
// through all planes of one of x1. Nonzero if there is no memory.
int fused_lanes(const float *x1, int n1, const float *x2, int n2, int H, int W, int C, int L,
                float *nngp, float *ntk) {
    const int P = H * W, stride = W + 2;
    const size_t size = (size_t)(H + 2) * stride, records = (size_t)L * P;
    float *dev1 = malloc(sizeof(float) * n1 * records);
    float *inv1 = malloc(sizeof(float) * n1 * records);
    float *v = malloc(sizeof(float) * P);
    Lanes *dev2 = lanes(records), *inv2 = lanes(records), *right = lanes((size_t)P * C);
    Lanes *K[2] = {lanes(size), lanes(size)}, *U[2] = {lanes(size), lanes(size)};
    const int failed =
        !(dev1 && inv1 && v && dev2 && inv2 && right && K[0] && K[1] && U[0] && U[1]);
    for (int a = 0; a < n1 && !failed; a++)
        record(x1 + (size_t)a * P * C, H, W, C, L, v, dev1 + a * records, inv1 + a * records, 1);
    for (int block = 0; block < n2 && !failed; block += PAIRS) {
        for (int e = 0; e < PAIRS; e++) {
            const float *x = x2 + (size_t)(block + e < n2 ? block + e : n2 - 1) * P * C;
            for (int at = 0; at < P * C; at++) ((float *)right)[at * PAIRS + e] = x[at];
            record(x, H, W, C, L, v, (float *)dev2 + e, (float *)inv2 + e, PAIRS);
        }
        for (int a = 0; a < n1; a++) {
            double total_k[PAIRS] = {0}, total_u[PAIRS] = {0};
            for (int dh = 1 - H; dh < H; dh++)
                for (int dw = 1 - W; dw < W; dw++) {
                    const Overlap o = overlap(dh, dw, H, W);
                    for (int which = 0; which < 2; which++) {
                        border(K[which], o.rows, o.columns, stride);
                        border(U[which], o.rows, o.columns, stride);
                    }
                    const float *one = x1 + ((size_t)a * P + o.from) * C;
                    const Lanes *other = right + o.to * C;
                    for (int i = 0; i < o.rows; i++)
                        for (int j = 0; j < o.columns; j++) {
                            Lanes sum = {0};
                            for (int c = 0; c < C; c++)
                                sum += one[(i * W + j) * C + c] * other[(i * W + j) * C + c];
                            K[0][(i + 1) * stride + j + 1] = sum * (WEIGHT / C);
                        }
                    Lanes k = {0}, u = {0};
                    for (int l = 0, now = 0; l < L; l++, now = !now) {
                        const size_t left = a * records + (size_t)l * P + o.from;
                        const size_t at = (size_t)l * P + o.to;
                        const Plane p = {o.rows,      o.columns,   stride,    W,
                                         dev1 + left, inv1 + left, dev2 + at, inv2 + at};
                        if (L == 1)
                            layer_only(&p, K[0], &k, &u);
                        else if (l == 0)
                            layer_first(&p, K[0], K[1], U[1]);
                        else if (l < L - 1)
                            layer_inner(&p, K[now], U[now], K[!now], U[!now]);
                        else
                            layer_last(&p, K[now], U[now], &k, &u);
                    }
                    for (int e = 0; e < PAIRS; e++) total_k[e] += k[e], total_u[e] += u[e];
                }
            for (int e = 0; e < PAIRS && block + e < n2; e++) {
                nngp[(size_t)a * n2 + block + e] = total_k[e] / ((double)WEIGHT * P * P);
                ntk[(size_t)a * n2 + block + e] = total_u[e] / ((double)WEIGHT * P * P);
            }
        }
    }
    free(dev1), free(inv1), free(v), free(dev2), free(inv2), free(right);
    free(K[0]), free(K[1]), free(U[0]), free(U[1]);
    return failed;
}

// One pair and one plane at a time, for the compiler to vectorise along the row.
static void pair(const float *x, const float *y, const float *dev1, const float *inv1,
                 const float *dev2, const float *inv2, int H, int W, int C, int L, float *planes,
                 float *nngp, float *ntk) {
    const int S = W + 2, P = H * W, size = (H + 2) * S;
    const float unit = WEIGHT / (2 * PI);
    double total_k = 0, total_u = 0;
    for (int dh = 1 - H; dh < H; dh++)
        for (int dw = 1 - W; dw < W; dw++) {
            const Overlap o = overlap(dh, dw, H, W);
            float *k = planes, *u = k + size, *k_next = u + size, *u_next = k_next + size;
            memset(planes, 0, sizeof(float) * 4 * size);
            for (int i = 0; i < o.rows; i++)
                for (int j = 0; j < o.columns; j++) {
                    const float *one = x + (o.from + i * W + j) * C;
                    const float *other = y + (o.to + i * W + j) * C;
                    float sum = 0;
                    for (int c = 0; c < C; c++) sum += one[c] * other[c];
                    k[(i + 1) * S + j + 1] = u[(i + 1) * S + j + 1] = sum * (WEIGHT / C);
                }
            for (int l = 0; l < L; l++) {
                for (int i = 0; i < o.rows; i++) {
                    const float *d1 = dev1 + l * P + o.from + i * W;
                    const float *r1 = inv1 + l * P + o.from + i * W;
                    const float *d2 = dev2 + l * P + o.to + i * W;
                    const float *r2 = inv2 + l * P + o.to + i * W;
                    const float *from_k = k + (i + 1) * S + 1, *from_u = u + (i + 1) * S + 1;
                    float *restrict to_k = k_next + (i + 1) * S + 1;
                    float *restrict to_u = u_next + (i + 1) * S + 1;
#pragma GCC ivdep
                    for (int j = 0; j < o.columns; j++) {
                        const float *n = from_k + j, *m = from_u + j;
                        float cov = n[-S - 1] + n[-S] + n[-S + 1] + n[-1] + n[0] + n[1] +
                                    n[S - 1] + n[S] + n[S + 1];
                        float tangent = m[-S - 1] + m[-S] + m[-S + 1] + m[-1] + m[0] + m[1] +
                                        m[S - 1] + m[S] + m[S + 1];
                        float rho = cov * (r1[j] * r2[j]), size = fabsf(rho);
                        size = size > 1 - EQUAL ? 1 : size;
                        float root = sqrtf(1 - size);
                        float s = sine_of[7] * unit, t = arccos_of[7] * unit;
                        for (int c = 6; c >= 0; c--) {
                            s = s * size + sine_of[c] * unit;
                            t = t * size + arccos_of[c] * unit;
                        }
                        float acute = root * t, turn = rho < 0 ? acute : WEIGHT / 2 - acute;
                        float both = root * s + turn * (rho < 0 ? -size : size);
                        float a = both * (d1[j] * d2[j]);
                        to_k[j] = a, to_u[j] = turn * tangent + a;
                    }
                }
                float *swap = k;
                k = k_next, k_next = swap;
                swap = u, u = u_next, u_next = swap;
            }
            float sum_k = 0, sum_u = 0;
            for (int i = 1; i <= o.rows; i++)
                for (int j = 1; j <= o.columns; j++) sum_k += k[i * S + j], sum_u += u[i * S + j];
            total_k += sum_k, total_u += sum_u;
        }
    *nngp = total_k / ((double)WEIGHT * P * P), *ntk = total_u / ((double)WEIGHT * P * P);
}

// As fused_lanes, pair by pair.
int fused_simple(const float *x1, int n1, const float *x2, int n2, int H, int W, int C, int L,
                 float *nngp, float *ntk) {
    const size_t P = (size_t)H * W, records = L * P, n = n1 + n2;
    float *dev = malloc(sizeof(float) * n * records), *inv = malloc(sizeof(float) * n * records);
    float *v = malloc(sizeof(float) * P);
    float *planes = malloc(sizeof(float) * 4 * (H + 2) * (W + 2));
    const int failed = !(dev && inv && v && planes);
    for (size_t a = 0; a < n && !failed; a++) {
        const float *x = (int)a < n1 ? x1 + a * P * C : x2 + (a - n1) * P * C;
        record(x, H, W, C, L, v, dev + a * records, inv + a * records, 1);
    }
    for (int a = 0; a < n1 && !failed; a++)
        for (int b = 0; b < n2; b++) {
            const size_t left = a * records, right = (n1 + b) * records, at = (size_t)a * n2 + b;
            pair(x1 + a * P * C, x2 + b * P * C, dev + left, inv + left, dev + right, inv + right,
                 H, W, C, L, planes, nngp + at, ntk + at);
        }
    free(dev), free(inv), free(v), free(planes);
    return failed;
}
