/* SPDX-License-Identifier: Apache-2.0 */
/* ident.c - random ids and the grammar of names. */
#include "base/ident.h"

#include <dray/util.h>

#include <stdint.h>
#include <sys/random.h>

static const char *const adjectives[] = {
    "able",    "agile",   "airy",    "ample",    "ardent",   "autumnal", "blithe",    "bold",
    "brave",   "bright",  "brisk",   "calm",     "candid",   "careful",  "cheery",    "civil",
    "classic", "clear",   "clever",  "cogent",   "cordial",  "cosmic",   "crisp",     "curious",
    "daring",  "deft",    "deep",    "earnest",  "eager",    "elastic",  "elated",    "eloquent",
    "epic",    "exact",   "fair",    "fearless", "fervent",  "fluent",   "fond",      "frank",
    "frosty",  "gallant", "gentle",  "gifted",   "glad",     "gleaming", "golden",    "graceful",
    "hardy",   "hearty",  "helpful", "honest",   "humble",   "ideal",    "inventive", "jaunty",
    "jolly",   "keen",    "kind",    "lasting",  "lively",   "logical",  "loyal",     "lucid",
    "lucky",   "lunar",   "mellow",  "merry",    "mighty",   "modest",   "musing",    "native",
    "neat",    "nimble",  "noble",   "novel",    "patient",  "peaceful", "placid",    "playful",
    "plucky",  "polite",  "precise", "prudent",  "quick",    "quiet",    "radiant",   "rapid",
    "ready",   "robust",  "rustic",  "sage",     "serene",   "sincere",  "sleek",     "smooth",
    "sober",   "solar",   "spry",    "stable",   "stately",  "steady",   "stellar",   "sturdy",
    "subtle",  "sunny",   "swift",   "tender",   "thorough", "tidy",     "tranquil",  "trusty",
    "upbeat",  "valiant", "verdant", "vernal",   "vivid",    "warm",     "watchful",  "wise",
    "witty",   "woven",   "zesty",
};

static const char *const surnames[] = {
    "abel",          "agnesi",    "airy",         "alhazen",    "ampere",    "apgar",
    "archimedes",    "avogadro",  "babbage",      "banneker",   "bernoulli", "bessel",
    "bohr",          "boltzmann", "boole",        "bose",       "boyle",     "brahe",
    "burnell",       "cantor",    "carson",       "cauchy",     "cavendish", "celsius",
    "chandrasekhar", "clarke",    "copernicus",   "coulomb",    "curie",     "dalton",
    "darwin",        "descartes", "dijkstra",     "dirac",      "doppler",   "eddington",
    "einstein",      "elion",     "erdos",        "euclid",     "euler",     "faraday",
    "fermat",        "fermi",     "feynman",      "fibonacci",  "fleming",   "fourier",
    "franklin",      "galileo",   "galois",       "gauss",      "germain",   "gibbs",
    "goodall",       "hamilton",  "heisenberg",   "herschel",   "hertz",     "hilbert",
    "hodgkin",       "hooke",     "hopper",       "hubble",     "huygens",   "hypatia",
    "jacobi",        "jemison",   "johnson",      "joule",      "kelvin",    "kepler",
    "khayyam",       "knuth",     "kovalevskaya", "lagrange",   "lamarr",    "laplace",
    "lavoisier",     "leavitt",   "leibniz",      "linnaeus",   "lorentz",   "lovelace",
    "maxwell",       "mayer",     "mcclintock",   "meitner",    "mendel",    "mendeleev",
    "mirzakhani",    "napier",    "newton",       "nobel",      "noether",   "ohm",
    "oppenheimer",   "pascal",    "pasteur",      "pauli",      "payne",     "perlman",
    "planck",        "poincare",  "ptolemy",      "pythagoras", "raman",     "ramanujan",
    "riemann",       "ritchie",   "rubin",        "rutherford", "sagan",     "salk",
    "schrodinger",   "shannon",   "somerville",   "tesla",      "thales",    "thompson",
    "torvalds",      "turing",    "vaughan",      "volta",      "watt",      "weyl",
    "wiles",         "wilson",    "wu",           "yalow",      "yukawa",    "zeno",
    "zuse",
};

/* The kernel's generator; blocks only before the machine has any randomness. */
static void random_bytes(void *out, size_t n)
{
    unsigned char *p = out;
    while (n > 0) {
        ssize_t got = getrandom(p, n < 256 ? n : 256, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort(); /* ids that repeat would be worse */
        p += got;
        n -= (size_t)got;
    }
}

void dray_id_hex(char *out, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char raw[64];
    size_t done = 0;
    while (done < n) {
        size_t want = n - done < sizeof raw * 2 ? n - done : sizeof raw * 2;
        random_bytes(raw, (want + 1) / 2);
        for (size_t i = 0; i < want; i++)
            out[done + i] = hex[(i % 2 ? raw[i / 2] >> 4 : raw[i / 2]) & 15];
        done += want;
    }
    out[n] = '\0';
}

void dray_id_new(char out[DRAY_ID_LEN])
{
    /* A short id of digits alone would be taken for a number, as in a host name. */
    do
        dray_id_hex(out, DRAY_ID_LEN - 1);
    while (strspn(out, "0123456789") >= 12);
}

bool dray_id_is_hex(const char *text, size_t min, size_t max)
{
    size_t n = strspn(text, "0123456789abcdef");
    return text[n] == '\0' && n >= min && n <= max;
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool dray_name_valid(const char *name)
{
    if (!is_alnum(name[0]) || name[1] == '\0')
        return false;
    for (const char *p = name + 1; *p; p++)
        if (!is_alnum(*p) && *p != '_' && *p != '.' && *p != '-')
            return false;
    return true;
}

void dray_name_random(char out[64], int retry)
{
    uint32_t r[3];
    random_bytes(r, sizeof r);
    const char *left = adjectives[r[0] % (sizeof adjectives / sizeof adjectives[0])];
    const char *right = surnames[r[1] % (sizeof surnames / sizeof surnames[0])];
    if (retry > 0)
        (void)snprintf(out, 64, "%s_%s%u", left, right, r[2] % 10);
    else
        (void)snprintf(out, 64, "%s_%s", left, right);
}
