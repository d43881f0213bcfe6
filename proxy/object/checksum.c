/* proxy/object/checksum.c - see checksum.h. */
#define OPENSSL_SUPPRESS_DEPRECATED   /* SHA1_Init() and so on: EVP allocates at each use. */
#include "proxy/object/checksum.h"

#include <stdio.h>
#include <strings.h>

#include <isa-l/crc.h>

#include "base/bytes.h"

/* --- CRC-64/NVME: reflected polynomial, state inverted before and after. --- */

#define CRC64_POLYNOMIAL UINT64_C(0x9a6c9329ac4bc9b5)
#define CRC32_POLYNOMIAL UINT64_C(0xedb88320)
#define CRC32C_POLYNOMIAL UINT64_C(0x82f63b78)

/* What a byte adds to the state. */
static const uint64_t crc64_table[256] = {
    UINT64_C(0x0000000000000000), UINT64_C(0x7f6ef0c830358979), UINT64_C(0xfedde190606b12f2), UINT64_C(0x81b31158505e9b8b),
    UINT64_C(0xc962e5739841b68f), UINT64_C(0xb60c15bba8743ff6), UINT64_C(0x37bf04e3f82aa47d), UINT64_C(0x48d1f42bc81f2d04),
    UINT64_C(0xa61cecb46814fe75), UINT64_C(0xd9721c7c5821770c), UINT64_C(0x58c10d24087fec87), UINT64_C(0x27affdec384a65fe),
    UINT64_C(0x6f7e09c7f05548fa), UINT64_C(0x1010f90fc060c183), UINT64_C(0x91a3e857903e5a08), UINT64_C(0xeecd189fa00bd371),
    UINT64_C(0x78e0ff3b88be6f81), UINT64_C(0x078e0ff3b88be6f8), UINT64_C(0x863d1eabe8d57d73), UINT64_C(0xf953ee63d8e0f40a),
    UINT64_C(0xb1821a4810ffd90e), UINT64_C(0xceecea8020ca5077), UINT64_C(0x4f5ffbd87094cbfc), UINT64_C(0x30310b1040a14285),
    UINT64_C(0xdefc138fe0aa91f4), UINT64_C(0xa192e347d09f188d), UINT64_C(0x2021f21f80c18306), UINT64_C(0x5f4f02d7b0f40a7f),
    UINT64_C(0x179ef6fc78eb277b), UINT64_C(0x68f0063448deae02), UINT64_C(0xe943176c18803589), UINT64_C(0x962de7a428b5bcf0),
    UINT64_C(0xf1c1fe77117cdf02), UINT64_C(0x8eaf0ebf2149567b), UINT64_C(0x0f1c1fe77117cdf0), UINT64_C(0x7072ef2f41224489),
    UINT64_C(0x38a31b04893d698d), UINT64_C(0x47cdebccb908e0f4), UINT64_C(0xc67efa94e9567b7f), UINT64_C(0xb9100a5cd963f206),
    UINT64_C(0x57dd12c379682177), UINT64_C(0x28b3e20b495da80e), UINT64_C(0xa900f35319033385), UINT64_C(0xd66e039b2936bafc),
    UINT64_C(0x9ebff7b0e12997f8), UINT64_C(0xe1d10778d11c1e81), UINT64_C(0x606216208142850a), UINT64_C(0x1f0ce6e8b1770c73),
    UINT64_C(0x8921014c99c2b083), UINT64_C(0xf64ff184a9f739fa), UINT64_C(0x77fce0dcf9a9a271), UINT64_C(0x08921014c99c2b08),
    UINT64_C(0x4043e43f0183060c), UINT64_C(0x3f2d14f731b68f75), UINT64_C(0xbe9e05af61e814fe), UINT64_C(0xc1f0f56751dd9d87),
    UINT64_C(0x2f3dedf8f1d64ef6), UINT64_C(0x50531d30c1e3c78f), UINT64_C(0xd1e00c6891bd5c04), UINT64_C(0xae8efca0a188d57d),
    UINT64_C(0xe65f088b6997f879), UINT64_C(0x9931f84359a27100), UINT64_C(0x1882e91b09fcea8b), UINT64_C(0x67ec19d339c963f2),
    UINT64_C(0xd75adabd7a6e2d6f), UINT64_C(0xa8342a754a5ba416), UINT64_C(0x29873b2d1a053f9d), UINT64_C(0x56e9cbe52a30b6e4),
    UINT64_C(0x1e383fcee22f9be0), UINT64_C(0x6156cf06d21a1299), UINT64_C(0xe0e5de5e82448912), UINT64_C(0x9f8b2e96b271006b),
    UINT64_C(0x71463609127ad31a), UINT64_C(0x0e28c6c1224f5a63), UINT64_C(0x8f9bd7997211c1e8), UINT64_C(0xf0f5275142244891),
    UINT64_C(0xb824d37a8a3b6595), UINT64_C(0xc74a23b2ba0eecec), UINT64_C(0x46f932eaea507767), UINT64_C(0x3997c222da65fe1e),
    UINT64_C(0xafba2586f2d042ee), UINT64_C(0xd0d4d54ec2e5cb97), UINT64_C(0x5167c41692bb501c), UINT64_C(0x2e0934dea28ed965),
    UINT64_C(0x66d8c0f56a91f461), UINT64_C(0x19b6303d5aa47d18), UINT64_C(0x980521650afae693), UINT64_C(0xe76bd1ad3acf6fea),
    UINT64_C(0x09a6c9329ac4bc9b), UINT64_C(0x76c839faaaf135e2), UINT64_C(0xf77b28a2faafae69), UINT64_C(0x8815d86aca9a2710),
    UINT64_C(0xc0c42c4102850a14), UINT64_C(0xbfaadc8932b0836d), UINT64_C(0x3e19cdd162ee18e6), UINT64_C(0x41773d1952db919f),
    UINT64_C(0x269b24ca6b12f26d), UINT64_C(0x59f5d4025b277b14), UINT64_C(0xd846c55a0b79e09f), UINT64_C(0xa72835923b4c69e6),
    UINT64_C(0xeff9c1b9f35344e2), UINT64_C(0x90973171c366cd9b), UINT64_C(0x1124202993385610), UINT64_C(0x6e4ad0e1a30ddf69),
    UINT64_C(0x8087c87e03060c18), UINT64_C(0xffe938b633338561), UINT64_C(0x7e5a29ee636d1eea), UINT64_C(0x0134d92653589793),
    UINT64_C(0x49e52d0d9b47ba97), UINT64_C(0x368bddc5ab7233ee), UINT64_C(0xb738cc9dfb2ca865), UINT64_C(0xc8563c55cb19211c),
    UINT64_C(0x5e7bdbf1e3ac9dec), UINT64_C(0x21152b39d3991495), UINT64_C(0xa0a63a6183c78f1e), UINT64_C(0xdfc8caa9b3f20667),
    UINT64_C(0x97193e827bed2b63), UINT64_C(0xe877ce4a4bd8a21a), UINT64_C(0x69c4df121b863991), UINT64_C(0x16aa2fda2bb3b0e8),
    UINT64_C(0xf86737458bb86399), UINT64_C(0x8709c78dbb8deae0), UINT64_C(0x06bad6d5ebd3716b), UINT64_C(0x79d4261ddbe6f812),
    UINT64_C(0x3105d23613f9d516), UINT64_C(0x4e6b22fe23cc5c6f), UINT64_C(0xcfd833a67392c7e4), UINT64_C(0xb0b6c36e43a74e9d),
    UINT64_C(0x9a6c9329ac4bc9b5), UINT64_C(0xe50263e19c7e40cc), UINT64_C(0x64b172b9cc20db47), UINT64_C(0x1bdf8271fc15523e),
    UINT64_C(0x530e765a340a7f3a), UINT64_C(0x2c608692043ff643), UINT64_C(0xadd397ca54616dc8), UINT64_C(0xd2bd67026454e4b1),
    UINT64_C(0x3c707f9dc45f37c0), UINT64_C(0x431e8f55f46abeb9), UINT64_C(0xc2ad9e0da4342532), UINT64_C(0xbdc36ec59401ac4b),
    UINT64_C(0xf5129aee5c1e814f), UINT64_C(0x8a7c6a266c2b0836), UINT64_C(0x0bcf7b7e3c7593bd), UINT64_C(0x74a18bb60c401ac4),
    UINT64_C(0xe28c6c1224f5a634), UINT64_C(0x9de29cda14c02f4d), UINT64_C(0x1c518d82449eb4c6), UINT64_C(0x633f7d4a74ab3dbf),
    UINT64_C(0x2bee8961bcb410bb), UINT64_C(0x548079a98c8199c2), UINT64_C(0xd53368f1dcdf0249), UINT64_C(0xaa5d9839ecea8b30),
    UINT64_C(0x449080a64ce15841), UINT64_C(0x3bfe706e7cd4d138), UINT64_C(0xba4d61362c8a4ab3), UINT64_C(0xc52391fe1cbfc3ca),
    UINT64_C(0x8df265d5d4a0eece), UINT64_C(0xf29c951de49567b7), UINT64_C(0x732f8445b4cbfc3c), UINT64_C(0x0c41748d84fe7545),
    UINT64_C(0x6bad6d5ebd3716b7), UINT64_C(0x14c39d968d029fce), UINT64_C(0x95708ccedd5c0445), UINT64_C(0xea1e7c06ed698d3c),
    UINT64_C(0xa2cf882d2576a038), UINT64_C(0xdda178e515432941), UINT64_C(0x5c1269bd451db2ca), UINT64_C(0x237c997575283bb3),
    UINT64_C(0xcdb181ead523e8c2), UINT64_C(0xb2df7122e51661bb), UINT64_C(0x336c607ab548fa30), UINT64_C(0x4c0290b2857d7349),
    UINT64_C(0x04d364994d625e4d), UINT64_C(0x7bbd94517d57d734), UINT64_C(0xfa0e85092d094cbf), UINT64_C(0x856075c11d3cc5c6),
    UINT64_C(0x134d926535897936), UINT64_C(0x6c2362ad05bcf04f), UINT64_C(0xed9073f555e26bc4), UINT64_C(0x92fe833d65d7e2bd),
    UINT64_C(0xda2f7716adc8cfb9), UINT64_C(0xa54187de9dfd46c0), UINT64_C(0x24f29686cda3dd4b), UINT64_C(0x5b9c664efd965432),
    UINT64_C(0xb5517ed15d9d8743), UINT64_C(0xca3f8e196da80e3a), UINT64_C(0x4b8c9f413df695b1), UINT64_C(0x34e26f890dc31cc8),
    UINT64_C(0x7c339ba2c5dc31cc), UINT64_C(0x035d6b6af5e9b8b5), UINT64_C(0x82ee7a32a5b7233e), UINT64_C(0xfd808afa9582aa47),
    UINT64_C(0x4d364994d625e4da), UINT64_C(0x3258b95ce6106da3), UINT64_C(0xb3eba804b64ef628), UINT64_C(0xcc8558cc867b7f51),
    UINT64_C(0x8454ace74e645255), UINT64_C(0xfb3a5c2f7e51db2c), UINT64_C(0x7a894d772e0f40a7), UINT64_C(0x05e7bdbf1e3ac9de),
    UINT64_C(0xeb2aa520be311aaf), UINT64_C(0x944455e88e0493d6), UINT64_C(0x15f744b0de5a085d), UINT64_C(0x6a99b478ee6f8124),
    UINT64_C(0x224840532670ac20), UINT64_C(0x5d26b09b16452559), UINT64_C(0xdc95a1c3461bbed2), UINT64_C(0xa3fb510b762e37ab),
    UINT64_C(0x35d6b6af5e9b8b5b), UINT64_C(0x4ab846676eae0222), UINT64_C(0xcb0b573f3ef099a9), UINT64_C(0xb465a7f70ec510d0),
    UINT64_C(0xfcb453dcc6da3dd4), UINT64_C(0x83daa314f6efb4ad), UINT64_C(0x0269b24ca6b12f26), UINT64_C(0x7d0742849684a65f),
    UINT64_C(0x93ca5a1b368f752e), UINT64_C(0xeca4aad306bafc57), UINT64_C(0x6d17bb8b56e467dc), UINT64_C(0x12794b4366d1eea5),
    UINT64_C(0x5aa8bf68aecec3a1), UINT64_C(0x25c64fa09efb4ad8), UINT64_C(0xa4755ef8cea5d153), UINT64_C(0xdb1bae30fe90582a),
    UINT64_C(0xbcf7b7e3c7593bd8), UINT64_C(0xc399472bf76cb2a1), UINT64_C(0x422a5673a732292a), UINT64_C(0x3d44a6bb9707a053),
    UINT64_C(0x759552905f188d57), UINT64_C(0x0afba2586f2d042e), UINT64_C(0x8b48b3003f739fa5), UINT64_C(0xf42643c80f4616dc),
    UINT64_C(0x1aeb5b57af4dc5ad), UINT64_C(0x6585ab9f9f784cd4), UINT64_C(0xe436bac7cf26d75f), UINT64_C(0x9b584a0fff135e26),
    UINT64_C(0xd389be24370c7322), UINT64_C(0xace74eec0739fa5b), UINT64_C(0x2d545fb4576761d0), UINT64_C(0x523aaf7c6752e8a9),
    UINT64_C(0xc41748d84fe75459), UINT64_C(0xbb79b8107fd2dd20), UINT64_C(0x3acaa9482f8c46ab), UINT64_C(0x45a459801fb9cfd2),
    UINT64_C(0x0d75adabd7a6e2d6), UINT64_C(0x721b5d63e7936baf), UINT64_C(0xf3a84c3bb7cdf024), UINT64_C(0x8cc6bcf387f8795d),
    UINT64_C(0x620ba46c27f3aa2c), UINT64_C(0x1d6554a417c62355), UINT64_C(0x9cd645fc4798b8de), UINT64_C(0xe3b8b53477ad31a7),
    UINT64_C(0xab69411fbfb21ca3), UINT64_C(0xd407b1d78f8795da), UINT64_C(0x55b4a08fdfd90e51), UINT64_C(0x2ada5047efec8728),
};

uint64_t checksum_crc64_plain(uint64_t state, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        state = crc64_table[(uint8_t)(state ^ data[i])] ^ state >> 8;
    return state;
}

#ifdef __x86_64__
#include <immintrin.h>

/* Reflected x^(d + 63) and x^(d - 1) modulo the polynomial: what moves 128 bits on by d bits. */
#define MOVE_512 _mm_set_epi64x(0x62242240ace5045a, 0x0c32cdb31e18a84a)
#define MOVE_384 _mm_set_epi64x((int64_t)UINT64_C(0xa3ffdc1fe8e82a8b), (int64_t)UINT64_C(0xbdd7ac0ee1a4a0f0))
#define MOVE_256 _mm_set_epi64x((int64_t)UINT64_C(0xe1e0bb9d45d7a44c), (int64_t)UINT64_C(0xb0bc2e589204f500))
#define MOVE_128 _mm_set_epi64x(0x21e9761e252621ac, (int64_t)UINT64_C(0xeadc41fd2ba3d420))

__attribute__((target("pclmul,sse4.1"))) static inline __m128i fold(__m128i x, __m128i by, __m128i with)
{
    return _mm_xor_si128(with, _mm_xor_si128(_mm_clmulepi64_si128(x, by, 0x00), _mm_clmulepi64_si128(x, by, 0x11)));
}

/* Needs 64 bytes or more. Four independent chains hide the latency of the multiplication; what is left of them is 16
 * bytes that have the same remainder as all that went in. */
__attribute__((target("pclmul,sse4.1"))) static uint64_t crc64_fold(uint64_t state, const uint8_t *data, size_t size)
{
    const __m128i *in = (const __m128i *)(const void *)data;
    __m128i        a = _mm_xor_si128(_mm_loadu_si128(in), _mm_cvtsi64_si128((int64_t)state));
    __m128i        b = _mm_loadu_si128(in + 1), c = _mm_loadu_si128(in + 2), d = _mm_loadu_si128(in + 3);
    uint8_t        rest[16];

    for (in += 4, size -= 64; size >= 64; in += 4, size -= 64) {
        a = fold(a, MOVE_512, _mm_loadu_si128(in));
        b = fold(b, MOVE_512, _mm_loadu_si128(in + 1));
        c = fold(c, MOVE_512, _mm_loadu_si128(in + 2));
        d = fold(d, MOVE_512, _mm_loadu_si128(in + 3));
    }
    a = fold(a, MOVE_384, fold(b, MOVE_256, fold(c, MOVE_128, d)));
    for (; size >= 16; in++, size -= 16)
        a = fold(a, MOVE_128, _mm_loadu_si128(in));
    _mm_storeu_si128((__m128i *)(void *)rest, a);
    state = checksum_crc64_plain(0, rest, sizeof rest);
    return checksum_crc64_plain(state, (const uint8_t *)in, size);
}

static uint64_t crc64_add(uint64_t state, const uint8_t *data, size_t size)
{
    if (size >= 64 && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1"))
        return crc64_fold(state, data, size);
    return checksum_crc64_plain(state, data, size);
}
#else
static uint64_t crc64_add(uint64_t state, const uint8_t *data, size_t size)
{
    return checksum_crc64_plain(state, data, size);
}
#endif

/* --- Incremental. --- */

void checksum_init(struct checksum *checksum, enum checksum_kind kind)
{
    checksum->kind = kind;
    switch (kind) {
    case CHECKSUM_CRC32: checksum->crc32 = 0; break;
    case CHECKSUM_CRC32C: checksum->crc32 = UINT32_MAX; break;
    case CHECKSUM_CRC64NVME: checksum->crc64 = UINT64_MAX; break;
    case CHECKSUM_SHA1: SHA1_Init(&checksum->sha1); break;
    case CHECKSUM_SHA256: SHA256_Init(&checksum->sha256); break;
    default: break;
    }
}

/* ISA-L's function takes an int, and does not write to what it is given. */
static uint32_t crc32c_add(uint32_t state, const uint8_t *data, size_t size)
{
    while (size > 0) {
        size_t n = size < (1 << 30) ? size : 1 << 30;
        state = crc32_iscsi((unsigned char *)(uintptr_t)data, (int)n, state);
        data += n;
        size -= n;
    }
    return state;
}

void checksum_add(struct checksum *checksum, const void *data, size_t size)
{
    if (size == 0)
        return;
    switch (checksum->kind) {
    case CHECKSUM_CRC32: checksum->crc32 = crc32_gzip_refl(checksum->crc32, data, size); break;
    case CHECKSUM_CRC32C: checksum->crc32 = crc32c_add(checksum->crc32, data, size); break;
    case CHECKSUM_CRC64NVME: checksum->crc64 = crc64_add(checksum->crc64, data, size); break;
    case CHECKSUM_SHA1: SHA1_Update(&checksum->sha1, data, size); break;
    case CHECKSUM_SHA256: SHA256_Update(&checksum->sha256, data, size); break;
    default: break;
    }
}

void checksum_end(struct checksum *checksum, uint8_t ret_value[CHECKSUM_BYTES_MAX])
{
    switch (checksum->kind) {
    case CHECKSUM_CRC32: put_u32be(ret_value, checksum->crc32); break;
    case CHECKSUM_CRC32C: put_u32be(ret_value, ~checksum->crc32); break;
    case CHECKSUM_CRC64NVME: put_u64be(ret_value, ~checksum->crc64); break;
    case CHECKSUM_SHA1: SHA1_Final(ret_value, &checksum->sha1); break;
    case CHECKSUM_SHA256: SHA256_Final(ret_value, &checksum->sha256); break;
    default: break;
    }
}

/* --- Names. --- */

static const struct {
    const char *name;
    uint8_t     size;
} kinds[CHECKSUM_END_] = {
    [CHECKSUM_CRC32] = { "CRC32", 4 }, [CHECKSUM_CRC32C] = { "CRC32C", 4 }, [CHECKSUM_CRC64NVME] = { "CRC64NVME", 8 },
    [CHECKSUM_SHA1] = { "SHA1", 20 }, [CHECKSUM_SHA256] = { "SHA256", 32 },
};

size_t checksum_size(enum checksum_kind kind)
{
    return (unsigned)kind < CHECKSUM_END_ ? kinds[kind].size : 0;
}

const char *checksum_name(enum checksum_kind kind)
{
    return (unsigned)kind < CHECKSUM_END_ ? kinds[kind].name : NULL;
}

enum checksum_kind checksum_kind_of(struct slice name)
{
    for (int i = 1; i < CHECKSUM_END_; i++)
        if (name.size == strlen(kinds[i].name) && strncasecmp((const char *)name.data, kinds[i].name, name.size) == 0)
            return (enum checksum_kind)i;
    return CHECKSUM_NONE;
}

bool checksum_is_crc(enum checksum_kind kind)
{
    return kind == CHECKSUM_CRC32 || kind == CHECKSUM_CRC32C || kind == CHECKSUM_CRC64NVME;
}

/* --- Combining CRCs: crc(A B) = crc(A) * x^(bits of B) + crc(B), reflected. --- */

struct field {
    uint64_t polynomial, one;   /* 'one' is x^0: the highest bit. */
};

static uint64_t multiply(const struct field *f, uint64_t a, uint64_t b)
{
    uint64_t product = 0;

    for (uint64_t bit = f->one; bit && a; bit >>= 1) {
        if (a & bit)
            product ^= b;
        a &= ~bit;
        b = b & 1 ? b >> 1 ^ f->polynomial : b >> 1;
    }
    return product;
}

static uint64_t shift_by(const struct field *f, uint64_t value, uint64_t size)
{
    uint64_t power = f->one >> 8;   /* x^8: one byte. */

    for (; size > 0; size >>= 1) {
        if (size & 1)
            value = multiply(f, value, power);
        power = multiply(f, power, power);
    }
    return value;
}

void checksum_combine(enum checksum_kind kind, uint8_t *value, const uint8_t *next, uint64_t size)
{
    static const struct field fields[] = {
        [CHECKSUM_CRC32] = { CRC32_POLYNOMIAL, UINT64_C(1) << 31 },
        [CHECKSUM_CRC32C] = { CRC32C_POLYNOMIAL, UINT64_C(1) << 31 },
        [CHECKSUM_CRC64NVME] = { CRC64_POLYNOMIAL, UINT64_C(1) << 63 },
    };

    if (!checksum_is_crc(kind))
        return;
    if (kind == CHECKSUM_CRC64NVME)
        put_u64be(value, shift_by(&fields[kind], get_u64be(value), size) ^ get_u64be(next));
    else
        put_u32be(value, (uint32_t)shift_by(&fields[kind], get_u32be(value), size) ^ get_u32be(next));
}

/* --- Base64. --- */

size_t base64_encode(char *out, const void *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t    *in = data;
    size_t            n = 0;

    for (size_t i = 0; i < size; i += 3) {
        uint32_t three = (uint32_t)in[i] << 16;
        if (i + 1 < size)
            three |= (uint32_t)in[i + 1] << 8;
        if (i + 2 < size)
            three |= in[i + 2];
        out[n++] = digits[three >> 18];
        out[n++] = digits[three >> 12 & 63];
        out[n++] = i + 1 < size ? digits[three >> 6 & 63] : '=';
        out[n++] = i + 2 < size ? digits[three & 63] : '=';
    }
    out[n] = 0;
    return n;
}

static int base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_decode(uint8_t *out, size_t capacity, struct slice text, size_t *ret_size)
{
    size_t pad = 0, n = 0;

    if (text.size % 4)
        return -E_SYNTAX;
    while (pad < 2 && pad < text.size && text.data[text.size - 1 - pad] == '=')
        pad++;
    if (text.size / 4 * 3 - pad > capacity)
        return -E_LIMIT;
    for (size_t i = 0; i < text.size; i += 4) {
        size_t   digits = i + 4 == text.size ? 4 - pad : 4;
        uint32_t four = 0;
        for (size_t j = 0; j < 4; j++) {
            int value = j < digits ? base64_value(text.data[i + j]) : 0;
            if (value < 0)
                return -E_SYNTAX;
            four = four << 6 | (uint32_t)value;
        }
        if ((digits == 2 && four & 0xffff) || (digits == 3 && four & 0xff))
            return -E_SYNTAX;
        for (size_t j = 0; j + 1 < digits; j++)
            out[n++] = (uint8_t)(four >> (16 - 8 * j));
    }
    *ret_size = n;
    return 0;
}

/* --- As clients see them. --- */

void checksum_text(char out[CHECKSUM_TEXT_MAX], struct slice value, uint32_t parts)
{
    size_t n;

    out[0] = 0;
    if (value.size == 0 || value.size > CHECKSUM_BYTES_MAX)
        return;
    n = base64_encode(out, value.data, value.size);
    if (parts)
        snprintf(out + n, CHECKSUM_TEXT_MAX - n, "-%u", parts);
}

int checksum_parse(enum checksum_kind kind, struct slice text, uint8_t ret_value[CHECKSUM_BYTES_MAX],
                   uint32_t *ret_parts)
{
    const uint8_t *dash = text.size ? memchr(text.data, '-', text.size) : NULL;
    uint8_t        value[CHECKSUM_BYTES_MAX];
    uint32_t       parts = 0;
    size_t         size;

    if (dash) {
        struct slice number = slice_from(text, (size_t)(dash - text.data) + 1);
        if (!ret_parts || number.size == 0 || number.size > 5 || number.data[0] == '0')
            return -E_SYNTAX;
        for (size_t i = 0; i < number.size; i++) {
            if (number.data[i] < '0' || number.data[i] > '9')
                return -E_SYNTAX;
            parts = parts * 10 + (number.data[i] - '0');
        }
        text.size -= number.size + 1;
    }
    if (base64_decode(value, sizeof value, text, &size) || size == 0 || size != checksum_size(kind))
        return -E_SYNTAX;
    memcpy(ret_value, value, size);
    if (ret_parts)
        *ret_parts = parts;
    return 0;
}
