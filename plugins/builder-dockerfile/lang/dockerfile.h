/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dockerfile.h - the Dockerfile language: a file's text becomes stages of typed instructions, words
 * are expanded, mistakes are found.
 *
 * Everything that a parsed file points to lives in the file's arena and dies with
 * dray_df_free(); nothing is changed after the parse, so threads may read one file together.
 * Optional strings are NULL when they were not given. The texts of errors are BuildKit's.
 */
#ifndef DRAY_BUILDER_DOCKERFILE_H
#define DRAY_BUILDER_DOCKERFILE_H

#include <dray/util.h>

#include <stdbool.h>

/** Bounds of what is read: a larger file is refused before any of it is looked at. */
#define DRAY_DF_MAX_FILE (4u << 20)
#define DRAY_DF_MAX_INSTRS 20000u
#define DRAY_DF_MAX_STAGES 1000u
#define DRAY_DF_MAX_HEREDOCS 64u
#define DRAY_DF_MAX_DEPTH 32u
#define DRAY_DF_MAX_WORD (1u << 20)
#define DRAY_DF_MAX_TEXT (16u << 20) /* all that one arena's words become */

/** Memory that is freed as a whole. Zero-initialised is empty. Not for several threads at once. */
struct dray_df_arena {
    struct dray_df_block *blocks;
    size_t used; /**< bytes handed out */
};
/** n zeroed bytes, or NULL without memory. */
void *dray_df_alloc(struct dray_df_arena *a, size_t n);
/** A NUL-terminated copy of n bytes. */
char *dray_df_strndup(struct dray_df_arena *a, const char *text, size_t n);
void dray_df_arena_free(struct dray_df_arena *a);
static inline void dray_df_arena_cleanup(struct dray_df_arena *a)
{
    dray_df_arena_free(a);
}

/** Where something is: lines and columns count from 1; 0 is unknown. */
struct dray_df_where {
    uint32_t line, end_line;
    uint32_t column; /**< in bytes */
};

enum dray_df_kind {
    DRAY_DF_ADD = 1,
    DRAY_DF_ARG,
    DRAY_DF_CMD,
    DRAY_DF_COPY,
    DRAY_DF_ENTRYPOINT,
    DRAY_DF_ENV,
    DRAY_DF_EXPOSE,
    DRAY_DF_FROM,
    DRAY_DF_HEALTHCHECK,
    DRAY_DF_LABEL,
    DRAY_DF_MAINTAINER,
    DRAY_DF_ONBUILD,
    DRAY_DF_RUN,
    DRAY_DF_SHELL,
    DRAY_DF_STOPSIGNAL,
    DRAY_DF_USER,
    DRAY_DF_VOLUME,
    DRAY_DF_WORKDIR,
};

/** One here-document. */
struct dray_df_heredoc {
    const char *name;    /**< the word that ends it */
    const char *content; /**< lines with their ends; tabs are gone already with <<- */
    size_t len;
    bool expand; /**< the word was not quoted: variables count in COPY and ADD */
    bool chomp;  /**< <<- */
    uint32_t fd; /**< of RUN's "3<<EOF"; 0 when none was named */
};

struct dray_df_heredocs {
    const struct dray_df_heredoc *v;
    size_t n;
};

enum dray_df_mount_type {
    DRAY_DF_MOUNT_BIND,
    DRAY_DF_MOUNT_CACHE,
    DRAY_DF_MOUNT_TMPFS,
    DRAY_DF_MOUNT_SECRET,
    DRAY_DF_MOUNT_SSH,
};

enum dray_df_sharing { DRAY_DF_SHARED, DRAY_DF_PRIVATE, DRAY_DF_LOCKED };

/** RUN --mount=... with the defaults of its type filled in. In a parsed file values with "$" are as
 *  written (never `from`); dray_df_expand() settles them. */
struct dray_df_mount {
    enum dray_df_mount_type type;
    const char *from;   /**< stage or image of bind and cache; NULL is the context (bind) */
    const char *source; /**< path in it; "/" when not given */
    const char *target; /**< NULL only for a secret that is an environment variable, and for ssh */
    const char *id;     /**< cache: the target when not given; secret; ssh: "default" */
    const char *env;    /**< secret: the variable that shall hold it */
    bool readonly;      /**< bind: true unless rw */
    bool required;      /**< secret, ssh */
    enum dray_df_sharing sharing;
    uint64_t size; /**< tmpfs: bytes, 0 is the default */
    uint32_t mode; /**< secret 0400, ssh 0600, cache 0755 unless given */
    uint32_t uid, gid;
    bool has_mode, has_uid, has_gid; /**< said in the file */
};

struct dray_df_mounts {
    const struct dray_df_mount *v;
    size_t n;
};

/** A command line: of RUN, CMD, ENTRYPOINT, SHELL, and of HEALTHCHECK CMD. */
struct dray_df_command {
    bool shell;                    /**< argv[0] is one string for the shell; else the exec form */
    struct dray_strs argv;         /**< empty for `CMD []` */
    struct dray_df_heredocs files; /**< of RUN; their markers stay in argv */
};

struct dray_df_from {
    const char *image;    /**< as written: may hold global ARGs */
    const char *platform; /**< --platform, as written */
    const char *name;     /**< AS, lower case */
    const char *name_raw; /**< AS, as written */
};

struct dray_df_run {
    struct dray_df_command command;
    struct dray_df_mounts mounts;
    const char *network;  /**< "default", "none", "host" */
    const char *security; /**< "sandbox", "insecure" */
};

/** COPY and ADD. */
struct dray_df_copy {
    struct dray_strs sources;         /**< without the here-documents */
    struct dray_df_heredocs contents; /**< each a file named as its word */
    const char *dest;
    const char *from; /**< COPY --from */
    const char *chown, *chmod, *checksum;
    struct dray_strs excludes;
    bool link, parents;
    bool keep_git_dir; /**< ADD */
    int unpack;        /**< ADD --unpack: 1, 0, or -1 when not given */
};

/** ENV, LABEL, ARG in order; value is NULL for an ARG without default. */
struct dray_df_pairs {
    const struct dray_kv *v;
    size_t n;
    bool legacy; /**< `ENV key value` */
};

struct dray_df_health {
    bool none; /**< HEALTHCHECK NONE */
    struct dray_df_command command;
    int64_t interval, timeout, start_period, start_interval; /**< ns, 0 when not given */
    int64_t retries;
};

/** One instruction. Which part counts is said by the kind. */
struct dray_df_instr {
    enum dray_df_kind kind;
    struct dray_df_where where;
    const char *name; /**< as written: "RUN", "run" */
    /** The instruction on one line as Docker shows it ("Step 1/3 : ..."), continuations joined,
     *  here-documents left out. */
    const char *text;
    const char *rest;       /**< text without the instruction's name and flags */
    struct dray_strs flags; /**< as written: "--from=x" */
    union {
        struct dray_df_from from;
        struct dray_df_run run;
        struct dray_df_copy copy;       /**< COPY, ADD */
        struct dray_df_pairs pairs;     /**< ENV, LABEL, ARG */
        struct dray_df_command command; /**< CMD, ENTRYPOINT, SHELL */
        struct dray_df_health health;
        struct dray_strs words; /**< EXPOSE, VOLUME */
        const char *value; /**< USER, WORKDIR, STOPSIGNAL, MAINTAINER; ONBUILD: the trigger's text,
                                with its here-documents, for dray_df_parse_one() */
    } u;
    struct dray_df_instr *next;
};

struct dray_df_stage {
    uint32_t index;
    const char *name;                  /**< = from->u.from.name */
    const struct dray_df_instr *from;  /**< its FROM */
    const struct dray_df_instr *first; /**< what follows FROM */
    uint32_t n_instrs;
    uint32_t end_line;
};

/** "# check=skip=A,B;error=true" */
struct dray_df_check {
    const char *text; /**< as written, or NULL */
    bool skip_all, error;
    struct dray_strs skip;
    bool experimental_all;
    struct dray_strs experimental; /**< experimental rules that shall run */
};

struct dray_df_file {
    struct dray_df_arena arena;
    const char *path; /**< as given, for messages */
    const char *text; /**< what was parsed, NUL-terminated */
    size_t len;
    const char *syntax; /**< "# syntax=", or NULL */
    char escape;        /**< '\\' or '`' */
    struct dray_df_check check;
    const struct dray_df_instr *args; /**< ARGs before the first FROM */
    const struct dray_df_stage *stages;
    uint32_t n_stages;
    const uint32_t *empty_continuations; /**< lines, ended by 0 */
};

/**
 * Parse a file of len bytes. 0, or DRAY_E_INVAL with BuildKit's "dockerfile parse error on line
 * 3: unknown instruction: RUNN (did you mean RUN?)" and *where (may be NULL) set; DRAY_E_LIMIT,
 * DRAY_E_NOMEM. *out is freed with dray_df_free().
 */
int dray_df_parse(const char *text, size_t len, const char *path, struct dray_df_file **out,
                  struct dray_df_where *where, struct dray_err *err);
void dray_df_free(struct dray_df_file *f);

/** Parse one instruction by itself, as an ONBUILD trigger or `commit --change` holds it. FROM,
 *  ONBUILD and MAINTAINER are refused with Docker's words when onbuild is set. */
int dray_df_parse_one(struct dray_df_arena *a, const char *text, bool onbuild,
                      const struct dray_df_instr **out, struct dray_err *err);

/**
 * The lines around a place, as BuildKit shows them under an error; the caller frees it. column:
 * name that as well.
 *
 *     Dockerfile:3
 *     --------------------
 *        1 |     FROM scratch
 *        2 |
 *        3 | >>> RUNN x
 *     --------------------
 */
char *dray_df_excerpt(const char *text, size_t len, const char *path,
                      const struct dray_df_where *where, bool column);

/** Add the place and the lines around it to an error's text, as far as they fit. */
void dray_df_explain(const char *text, size_t len, const char *path,
                     const struct dray_df_where *where, struct dray_err *err);

/** The stage that a name (any case) or an index ("0") means among the first `before` stages; -1. */
int dray_df_stage_find(const struct dray_df_file *f, const char *name, uint32_t before);

/** "RUN" of DRAY_DF_RUN. */
const char *dray_df_kind_name(enum dray_df_kind kind);

/* Words: variables, quotes, escapes. */

/** Where variables come from. get returns NULL for a name that is not set. */
struct dray_df_env {
    const char *(*get)(void *arg, const char *name);
    void *arg;
    /** Called for each name that was asked for and not set, unless a default stood in; or NULL. */
    void (*missing)(void *arg, const char *name);
};

#define DRAY_DF_KEEP_QUOTES 1u  /**< quotes and escapes stay (paths of COPY with wildcards) */
#define DRAY_DF_PLAIN_QUOTES 4u /**< quotes are characters as any other (here-documents) */
#define DRAY_DF_KEEP_UNSET 2u   /**< "$x" of an unset x stays as it is */

/** Expand one word as `ENV a=word` does: quotes and escapes go, $a ${a} ${a:-w} ${a-w} ${a:+w}
 *  ${a+w} ${a:?w} ${a?w} ${a#p} ${a##p} ${a%p} ${a%%p} ${a/p/r} ${a//p/r} are replaced. */
int dray_df_word(struct dray_df_arena *a, const char *word, char escape, unsigned flags,
                 const struct dray_df_env *env, const char **out, struct dray_err *err);
/** As dray_df_word, and split at unquoted blanks (EXPOSE $PORTS). */
int dray_df_words(struct dray_df_arena *a, const char *word, char escape,
                  const struct dray_df_env *env, struct dray_strs *out, struct dray_err *err);

/**
 * A copy of an instruction with everything expanded that Docker expands in its kind: ENV and LABEL
 * pairs, ARG defaults, COPY and ADD paths, flags and unquoted here-documents, mounts' paths, USER,
 * WORKDIR, EXPOSE, VOLUME, STOPSIGNAL, FROM's image and platform. The pairs of one instruction are
 * all expanded with what held before it. Others are returned as they are.
 */
int dray_df_expand(struct dray_df_arena *a, const struct dray_df_instr *in, char escape,
                   const struct dray_df_env *env, const struct dray_df_instr **out,
                   struct dray_err *err);

#endif
