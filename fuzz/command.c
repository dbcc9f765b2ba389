/* SPDX-License-Identifier: MIT */
/*
 * The input is a text of command lines, which are run one after the other on one database:
 *
 *     set city '"Bern"' --json
 *     batch
 *     <{"op":"del","key":"city"}
 *
 * Words stand between spaces; '...' keeps spaces. FILE is put before them, or nothing, if the line
 * begins with "!" (then no word may hold a slash, so that what the tool makes stays in the folder
 * of the target). Lines behind it that begin with "<" are stdin.
 *
 * Of every command: its exit code is one that lxdb(1) has, and not that of a damaged file or a
 * failing disk; on failure it says why on stderr, else nothing; with --json what it says is JSON;
 * and unless it may change the database, and succeeded, all records are as before and in the same
 * order. What each command has to do is also known beforehand, from the page, but for import, stat,
 * verify, recover and compact, and for the options --format, --timeout, --sync and --any-fs.
 */
#include "fuzz/driver.h"
#include "fuzz/mirror.h"
#include "fuzz/naive_lines.h"
#include "fuzz/scratch.h"
#include "fuzz/tool.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char fuzz_name[] = "command";

enum { LINES = 24, WORDS = 24 };

struct line {
    char *words[WORDS]; /* the first is FILE, if there is one */
    size_t n;
    bool bare; /* FILE was not put there */
    struct naive_bytes input;
};

/* A line as it is understood here: the command, its arguments and the options that it may have. */
struct plan {
    const char *command; /* NULL: what it does is not known beforehand */
    const char *args[WORDS];
    size_t n;
    const char *ns, *prefix;
    const char *limit; /* digits, or NULL */
    bool raw, str, json, key_b64, absent, reverse, nul;
};

/* What should come of it; `known` alone says whether the other members count. */
struct outcome {
    bool known;
    int exit_code;
    struct naive_bytes out;
};

static int home = -1;

/* ---- The text -------------------------------------------------------------------------------- */

static char *copy_word(const uint8_t *text, size_t len)
{
    char *word = malloc(len + 1);
    size_t n = 0;

    FUZZ_CHECK(word != NULL, "no memory");
    for (size_t i = 0; i < len; i++)
        if (text[i] != '\'' && text[i] != '\0')
            word[n++] = (char)text[i];
    word[n] = '\0';
    return word;
}

static void split(struct line *line, const uint8_t *text, size_t len)
{
    size_t at = 0;

    *line = (struct line){.bare = len > 0 && text[0] == '!'};
    if (line->bare)
        at++;
    else
        line->words[line->n++] = strdup(scratch_path);
    while (at < len && line->n < WORDS) {
        bool quoted = false;
        size_t begin = at;

        for (; at < len && (quoted || text[at] != ' '); at++)
            quoted ^= text[at] == '\'';
        if (at > begin)
            line->words[line->n++] = copy_word(text + begin, at - begin);
        at++;
    }
}

static void free_line(struct line *line)
{
    for (size_t i = 0; i < line->n; i++)
        free(line->words[i]);
    naive_free(&line->input);
}

static bool may_run(const struct line *line)
{
    for (size_t i = 0; line->bare && i < line->n; i++)
        if (strchr(line->words[i], '/') != NULL)
            return false;
    return true;
}

static struct plan understand(const struct line *line)
{
    struct plan plan = {0};

    if (line->bare || line->n < 2 || line->words[1][0] == '-')
        return plan;
    for (size_t i = 2; i < line->n; i++) {
        const char *word = line->words[i];

        if (strcmp(word, "--raw") == 0)
            plan.raw = true;
        else if (strcmp(word, "--str") == 0)
            plan.str = true;
        else if (strcmp(word, "--json") == 0)
            plan.json = true;
        else if (strcmp(word, "--key-b64") == 0)
            plan.key_b64 = true;
        else if (strcmp(word, "--absent") == 0)
            plan.absent = true;
        else if (strcmp(word, "--reverse") == 0)
            plan.reverse = true;
        else if (strcmp(word, "--null") == 0)
            plan.nul = true;
        else if (strcmp(word, "-n") == 0 && i + 1 < line->n)
            plan.ns = line->words[++i];
        else if (strcmp(word, "--prefix") == 0 && i + 1 < line->n)
            plan.prefix = line->words[++i];
        else if (strcmp(word, "--limit") == 0 && i + 1 < line->n)
            plan.limit = line->words[++i];
        else if (word[0] == '-' && word[1] != '\0' && !(word[1] >= '1' && word[1] <= '9'))
            return plan;
        else
            plan.args[plan.n++] = word;
    }
    plan.command = line->words[1];
    return plan;
}

/* ---- What should happen ---------------------------------------------------------------------- */

static void add_text(struct naive_bytes *bytes, const char *text)
{
    naive_add(bytes, text, strlen(text));
}

/* The key as it is stored, and without its namespace; false: it is none. */
static bool key_of(const struct plan *plan, const char *arg, struct naive_bytes *ret_key,
                   struct mirror_record *ret_own)
{
    size_t begin = 0;

    if (plan->ns != NULL) {
        add_text(ret_key, plan->ns);
        naive_add(ret_key, "", 1);
        begin = ret_key->len;
    }
    if (!plan->key_b64)
        add_text(ret_key, arg);
    else if (!naive_base64((const uint8_t *)arg, strlen(arg), ret_key))
        return false;
    *ret_own = (struct mirror_record){.key = ret_key->data + begin,
                                      .key_len = ret_key->len - begin};
    return ret_key->len > begin && ret_key->len <= 65535;
}

/* The value to store; false: it is none. */
static bool value_of(const struct plan *plan, const struct line *line, const char *arg,
                     struct naive_bytes *ret_stored)
{
    bool from_input = strcmp(arg, "-") == 0;
    const uint8_t *text = from_input ? line->input.data : (const uint8_t *)arg;
    size_t len = from_input ? line->input.len : strlen(arg);
    size_t at, value_len;

    if (plan->raw) {
        naive_add(ret_stored, text, len);
    } else if (!plan->str && naive_json(text, len, &at, &value_len)) {
        naive_add(ret_stored, "\1", 1);
        naive_add(ret_stored, text + at, value_len);
    } else if (naive_utf8(text, len)) {
        naive_add(ret_stored, "\1", 1);
        naive_quote(ret_stored, text, len);
    } else {
        return false;
    }
    return true;
}

static bool same(const struct mirror_record *record, const struct naive_bytes *stored)
{
    return record->value_len == stored->len &&
           (stored->len == 0 || memcmp(record->value, stored->data, stored->len) == 0);
}

/* A value, without its tag if it has one and is not asked for. */
static bool print_value(const struct plan *plan, const struct mirror_record *found,
                        struct naive_bytes *out)
{
    bool untag = !plan->raw && found->value_len > 0 && found->value[0] <= 1;

    naive_add(out, found->value + untag, found->value_len - untag);
    return untag && found->value[0] == 1;
}

static void expect_get(const struct plan *plan, const struct mirror_record *found,
                       struct mirror_record *own, struct outcome *outcome)
{
    if (plan->json) {
        own->value = found->value;
        own->value_len = found->value_len;
        naive_print_record(&outcome->out, own);
    } else if (print_value(plan, found, &outcome->out)) {
        add_text(&outcome->out, "\n");
    }
}

static void expect_store(const struct plan *plan, const struct line *line, struct mirror *mirror,
                         const struct naive_bytes *key, struct outcome *outcome)
{
    struct naive_bytes stored = {0};
    bool there = mirror_find(mirror, key->data, key->len) != NULL;

    if (!value_of(plan, line, plan->args[1], &stored))
        outcome->exit_code = 2;
    else if (there ? *plan->command == 'c' : *plan->command == 'u')
        outcome->exit_code = 1;
    else
        mirror_put(mirror, key->data, key->len, stored.data, stored.len);
    naive_free(&stored);
}

static void expect_cas(const struct plan *plan, const struct line *line, struct mirror *mirror,
                       const struct naive_bytes *key, struct outcome *outcome)
{
    const struct mirror_record *found = mirror_find(mirror, key->data, key->len);
    struct naive_bytes expected = {0}, stored = {0};

    if ((!plan->absent && !value_of(plan, line, plan->args[1], &expected)) ||
        !value_of(plan, line, plan->args[plan->n - 1], &stored))
        outcome->exit_code = 2;
    else if (plan->absent ? found != NULL : found == NULL || !same(found, &expected))
        outcome->exit_code = 1;
    else
        mirror_put(mirror, key->data, key->len, stored.data, stored.len);
    naive_free(&expected);
    naive_free(&stored);
}

static void expect_incr(const struct plan *plan, struct mirror *mirror,
                        const struct naive_bytes *key, struct outcome *outcome)
{
    const struct mirror_record *found = mirror_find(mirror, key->data, key->len);
    int64_t by = 1, number = 0, sum;
    char text[32];
    size_t at, len;

    if (plan->n > 1) {
        const char *arg = plan->args[1];
        if (arg[0] == '\0' || arg[strspn(arg, "-0123456789")] != '\0' ||
            (arg[0] == '-' && arg[1] == '\0') ||
            !naive_integer((const uint8_t *)arg, strlen(arg), &by)) {
            outcome->exit_code = 2;
            return;
        }
    }
    if (found != NULL && !(found->value_len > 0 && found->value[0] == 1 &&
                           naive_json(found->value + 1, found->value_len - 1, &at, &len) &&
                           naive_integer(found->value + 1 + at, len, &number) &&
                           strchr("-0123456789", found->value[1 + at]) != NULL)) {
        outcome->exit_code = 1;
    } else if (__builtin_add_overflow(number, by, &sum)) {
        outcome->exit_code = 2;
    } else {
        snprintf(text, sizeof text, "\1%lld\n", (long long)sum);
        mirror_put(mirror, key->data, key->len, text, strlen(text) - 1);
        add_text(&outcome->out, text + 1);
    }
}

static void expect_del(const struct plan *plan, struct mirror *mirror, struct outcome *outcome)
{
    for (size_t i = 0; i < plan->n && outcome->exit_code < 2; i++) {
        struct naive_bytes key = {0};
        struct mirror_record own;

        if (!key_of(plan, plan->args[i], &key, &own))
            outcome->exit_code = 2;
        else if (!mirror_delete(mirror, key.data, key.len))
            outcome->exit_code = 1;
        naive_free(&key);
    }
}

/* Whether a change is one; it is made in `mirror`. */
static bool expect_change(const struct plan *plan, struct mirror *mirror,
                          const struct naive_record *record, unsigned *written, unsigned *deleted,
                          bool *ret_exists)
{
    struct naive_bytes key = {0};
    bool right = record->op != NAIVE_NO_OP && record->has_value == (record->op != NAIVE_DELETE) &&
                 record->key.len > 0;

    if (plan->ns != NULL) {
        add_text(&key, plan->ns);
        naive_add(&key, "", 1);
    }
    naive_add(&key, record->key.data, record->key.len);
    right = right && key.len <= 65535;
    if (!right)
        ;
    else if (record->op == NAIVE_DELETE) {
        *deleted += mirror_delete(mirror, key.data, key.len);
    } else {
        if (record->op == NAIVE_CREATE && mirror_find(mirror, key.data, key.len) != NULL)
            *ret_exists = true;
        mirror_put(mirror, key.data, key.len, record->stored.data, record->stored.len);
        ++*written;
    }
    naive_free(&key);
    return right;
}

static void expect_batch(const struct plan *plan, const struct line *line, struct mirror *mirror,
                         struct outcome *outcome)
{
    struct mirror after = mirror_copy(mirror);
    const uint8_t *at = line->input.data, *text;
    const uint8_t *end = at != NULL ? at + line->input.len : NULL;
    unsigned written = 0, deleted = 0;
    bool exists = false;
    char figures[64];
    size_t len;

    while (outcome->exit_code == 0 && (text = naive_line(&at, end, &len)) != NULL) {
        struct naive_record record;

        if (!naive_parse(false, text, len, &record) ||
            !expect_change(plan, &after, &record, &written, &deleted, &exists))
            outcome->exit_code = 2;
        naive_record_free(&record);
    }
    if (outcome->exit_code == 0 && exists)
        outcome->exit_code = 1;
    if (outcome->exit_code != 0) {
        mirror_clear(&after);
        return;
    }
    mirror_clear(mirror);
    *mirror = after;
    snprintf(figures, sizeof figures,
             plan->json ? "{\"written\":%u,\"deleted\":%u}\n"
                        : "written              %u\n"
                          "deleted              %u\n",
             written, deleted);
    add_text(&outcome->out, figures);
    fuzz_reached("batches");
}

static unsigned expect_all(const struct plan *plan, struct mirror *mirror, bool clear)
{
    size_t name_len = plan->ns != NULL ? strlen(plan->ns) + 1 : 0;
    unsigned n = 0;

    for (size_t i = 0; i < mirror->n;) {
        const struct mirror_record *record = &mirror->records[i];
        bool counts = mirror_has_prefix(record, plan->ns, name_len) && record->key_len > name_len;

        n += counts;
        if (counts && clear)
            (void)mirror_delete(mirror, record->key, record->key_len);
        else
            i++;
    }
    return n;
}

/* keys, items and export: the same records, with more and more of each. */
static void expect_list(const struct plan *plan, const struct mirror *mirror,
                        struct outcome *outcome)
{
    size_t name_len = plan->ns != NULL ? strlen(plan->ns) + 1 : 0;
    size_t prefix_len = plan->prefix != NULL ? strlen(plan->prefix) : 0;
    uint64_t left = plan->limit != NULL ? strtoull(plan->limit, NULL, 10) : UINT64_MAX;
    struct naive_bytes *out = &outcome->out;

    for (size_t i = 0; i < mirror->n && left > 0; i++) {
        struct mirror_record record = mirror->records[plan->reverse ? mirror->n - 1 - i : i];

        if (!mirror_has_prefix(&record, plan->ns, name_len) || record.key_len == name_len)
            continue;
        record.key += name_len;
        record.key_len -= name_len;
        if (!mirror_has_prefix(&record, plan->prefix, prefix_len))
            continue;
        left--;
        if (*plan->command == 'e' || (*plan->command == 'i' && plan->json)) {
            naive_print_record(out, &record);
        } else if (plan->json) {
            add_text(out, "{");
            naive_print_name(out, "key", record.key, record.key_len);
            add_text(out, "}\n");
        } else {
            naive_add(out, record.key, record.key_len);
            if (*plan->command == 'i') {
                add_text(out, "\t");
                (void)print_value(plan, &record, out);
            }
            naive_add(out, plan->nul ? "" : "\n", 1);
        }
    }
    fuzz_reached("lists");
}

/* The namespace of a stored key: its length, 0 for a key of the root. */
static size_t name_of(const struct mirror_record *record)
{
    const uint8_t *nul = memchr(record->key, 0, record->key_len);
    size_t len = nul != NULL ? (size_t)(nul - record->key) : 0;

    return len + 1 < record->key_len ? len : 0;
}

/* One after the other, each the least that is greater than the last. */
static void expect_namespaces(const struct plan *plan, const struct mirror *mirror,
                              struct outcome *outcome)
{
    const char *last = "";

    for (;;) {
        const char *next = NULL; /* the name ends with the NUL of the stored key */
        unsigned n = 0;
        char figure[32];

        for (size_t i = 0; i < mirror->n; i++) {
            const char *name = (const char *)mirror->records[i].key;

            if (name_of(&mirror->records[i]) == 0 || strcmp(name, last) <= 0)
                continue;
            int order = next != NULL ? strcmp(name, next) : -1;
            if (order < 0)
                next = name;
            n = order < 0 ? 1 : n + (order == 0);
        }
        if (next == NULL)
            break;
        last = next;
        if (plan->json) {
            add_text(&outcome->out, "{");
            naive_print_name(&outcome->out, "namespace", (const uint8_t *)next, strlen(next));
            snprintf(figure, sizeof figure, ",\"count\":%u}", n);
        } else {
            add_text(&outcome->out, next);
            snprintf(figure, sizeof figure, "\t%u", n);
        }
        add_text(&outcome->out, figure);
        naive_add(&outcome->out, plan->nul && !plan->json ? "" : "\n", 1);
        fuzz_reached("namespaces listed");
    }
}

static const struct {
    const char *name;
    size_t least, most;
    /* n: -n; k: --key-b64; r: --raw; s: --str; a: --absent; l: those of lists; 0: --null */
    const char *options;
    bool creates;
} known[] = {
    {"get", 1, 1, "nkr", false},      {"set", 2, 2, "nkrs", true},
    {"create", 2, 2, "nkrs", true},   {"update", 2, 2, "nkrs", false},
    {"del", 1, WORDS, "nk", false},   {"exists", 1, 1, "nk", false},
    {"incr", 1, 2, "nk", true},       {"cas", 2, 3, "nkrsa", true},
    {"count", 0, 0, "n", false},      {"clear", 0, 0, "n", false},
    {"batch", 0, 0, "n", true},       {"keys", 0, 0, "nl0", false},
    {"items", 0, 0, "nrl0", false},   {"export", 0, 0, "n", false},
    {"namespaces", 0, 0, "0", false},
};

/* Whether this is a number below 2^64. */
static bool is_limit(const char *text)
{
    const char *digits = text + strspn(text, "0");
    size_t n = strlen(digits);

    return *text != '\0' && digits[strspn(digits, "0123456789")] == '\0' &&
           (n < 20 || (n == 20 && strcmp(digits, "18446744073709551615") <= 0));
}

/* What a line should do to the database and say; it is done to `mirror`. */
static struct outcome expect(const struct plan *plan, const struct line *line,
                             struct mirror *mirror, bool there)
{
    struct outcome outcome = {0};
    struct naive_bytes key = {0};
    struct mirror_record own = {0};
    size_t i = 0;
    char text[64];

    while (i < sizeof known / sizeof known[0] &&
           (plan->command == NULL || strcmp(plan->command, known[i].name) != 0))
        i++;
    if (i == sizeof known / sizeof known[0])
        return outcome;
    outcome.known = true;
    const char *options = known[i].options;
    const char *name = known[i].name;
    if ((plan->ns != NULL && !strchr(options, 'n')) || (plan->key_b64 && !strchr(options, 'k')) ||
        (plan->raw && !strchr(options, 'r')) || (plan->str && !strchr(options, 's')) ||
        (plan->absent && !strchr(options, 'a')) || (plan->raw && plan->str) ||
        ((plan->reverse || plan->prefix || plan->limit) && !strchr(options, 'l')) ||
        (plan->nul && !strchr(options, '0')) || (plan->limit && !is_limit(plan->limit)) ||
        plan->n < known[i].least || plan->n > known[i].most) {
        outcome.exit_code = 2;
        return outcome;
    }
    if (!there && !known[i].creates) {
        outcome.exit_code = 5;
        return outcome;
    }
    if (plan->ns != NULL && (plan->ns[0] == '\0' || strlen(plan->ns) > 65533)) {
        outcome.exit_code = 2;
        return outcome;
    }
    if (strcmp(name, "cas") == 0 &&
        (plan->n != (plan->absent ? 2u : 3u) ||
         (!plan->absent && strcmp(plan->args[1], "-") == 0 && strcmp(plan->args[2], "-") == 0))) {
        outcome.exit_code = 2;
        return outcome;
    }
    if (strcmp(name, "count") == 0 || strcmp(name, "clear") == 0) {
        const char *what = name[1] == 'o' ? "count" : "deleted";
        unsigned n = expect_all(plan, mirror, name[1] == 'l');
        snprintf(text, sizeof text, plan->json ? "{\"%s\":%u}\n" : "%.0s%u\n", what, n);
        add_text(&outcome.out, text);
    } else if (strcmp(name, "batch") == 0) {
        expect_batch(plan, line, mirror, &outcome);
    } else if (strcmp(name, "namespaces") == 0) {
        expect_namespaces(plan, mirror, &outcome);
    } else if (strchr(options, 'l') != NULL || strcmp(name, "export") == 0) {
        expect_list(plan, mirror, &outcome);
    } else if (strcmp(name, "del") == 0) {
        expect_del(plan, mirror, &outcome);
    } else if (!key_of(plan, plan->args[0], &key, &own)) {
        outcome.exit_code = 2;
    } else if (strcmp(name, "get") == 0) {
        const struct mirror_record *found = mirror_find(mirror, key.data, key.len);
        if (found != NULL)
            expect_get(plan, found, &own, &outcome);
        else
            outcome.exit_code = 1;
    } else if (strcmp(name, "exists") == 0) {
        outcome.exit_code = mirror_find(mirror, key.data, key.len) != NULL ? 0 : 1;
        if (plan->json)
            add_text(&outcome.out, outcome.exit_code == 0 ? "true\n" : "false\n");
    } else if (strcmp(name, "incr") == 0) {
        expect_incr(plan, mirror, &key, &outcome);
    } else if (strcmp(name, "cas") == 0) {
        expect_cas(plan, line, mirror, &key, &outcome);
    } else {
        expect_store(plan, line, mirror, &key, &outcome);
    }
    naive_free(&key);
    return outcome;
}

/* ---- What has happened ----------------------------------------------------------------------- */

static bool is_there(void)
{
    return access(scratch_path, F_OK) == 0;
}

static lxdb *open_db(void)
{
    const lxdb_options options = {.size = sizeof options, .flags = LXDB_RDONLY};
    lxdb *db;

    FUZZ_CHECK(lxdb_open(scratch_path, &options, &db) == LXDB_OK, "%s", lxdb_errmsg(NULL));
    return db;
}

/* Take what is in the database for what should be. */
static void load(struct mirror *mirror)
{
    const void *key, *value;
    size_t key_len, value_len;
    lxdb_iter *iter;

    mirror_clear(mirror);
    if (!is_there())
        return;
    lxdb *db = open_db();
    FUZZ_CHECK(lxdb_iter_open(db, NULL, 0, 0, &iter) == LXDB_OK, "%s", lxdb_errmsg(db));
    while (lxdb_iter_next(iter, &key, &key_len, &value, &value_len) == LXDB_OK)
        mirror_put(mirror, key, key_len, value, value_len);
    lxdb_iter_close(iter);
    FUZZ_CHECK(lxdb_close(db) == LXDB_OK, "%s", lxdb_errmsg(NULL));
}

static bool has_word(const struct line *line, const char *word)
{
    for (size_t i = 0; i < line->n; i++)
        if (strcmp(line->words[i], word) == 0)
            return true;
    return false;
}

/* Whether a command that is not known beforehand may have changed records. */
static bool may_change(const struct line *line)
{
    static const char *const writers[] = {"set", "create", "update", "del",   "incr",
                                          "cas", "clear",  "batch",  "import"};

    for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++)
        if (has_word(line, writers[i]))
            return true;
    return false;
}

static void check_json(const struct naive_bytes *text)
{
    const uint8_t *at = text->data, *line;
    const uint8_t *end = at != NULL ? at + text->len : NULL;
    size_t len, value_at, value_len;

    while ((line = naive_line(&at, end, &len)) != NULL)
        FUZZ_CHECK(naive_json(line, len, &value_at, &value_len), "not JSON: %.*s", (int)len,
                   (const char *)line);
}

static void check_run(const struct line *line, const struct plan *plan, const struct tool_run *run)
{
    bool silent = has_word(line, "exists"); /* its exit code is all it says */
    bool plain = plan->command != NULL && plan->json;

    FUZZ_CHECK(
        run->exit_code >= 0 && run->exit_code <= 6 && run->exit_code != 3 && run->exit_code != 4,
        "exit code %d: %.*s", run->exit_code, (int)run->err.len, (const char *)run->err.data);
    FUZZ_CHECK(run->exit_code != 5 || !is_there() || line->bare, "exit code 5: %.*s",
               (int)run->err.len, (const char *)run->err.data);
    if (run->exit_code == 0)
        FUZZ_CHECK(run->err.len == 0 || has_word(line, "recover"), "a message: %.*s",
                   (int)run->err.len, (const char *)run->err.data);
    else
        FUZZ_CHECK(run->err.len != 0 || silent, "exit code %d, and no message", run->exit_code);
    if (plain) {
        check_json(&run->err);
        if (strcmp(plan->command, "get") != 0 || !plan->raw)
            check_json(&run->out);
        fuzz_reached("answers in JSON");
    }
}

static void check_outcome(const struct outcome *outcome, const struct tool_run *run)
{
    FUZZ_CHECK(run->exit_code == outcome->exit_code, "exit code %d instead of %d: %.*s",
               run->exit_code, outcome->exit_code, (int)run->err.len, (const char *)run->err.data);
    FUZZ_CHECK(
        run->out.len == outcome->out.len &&
            (run->out.len == 0 || memcmp(run->out.data, outcome->out.data, run->out.len) == 0),
        "printed %.*s instead of %.*s", (int)run->out.len, (const char *)run->out.data,
        (int)outcome->out.len, (const char *)outcome->out.data);
    fuzz_reached(outcome->exit_code == 0   ? "known beforehand: ok"
                 : outcome->exit_code == 1 ? "known beforehand: no"
                                           : "known beforehand: refused");
}

static void run_line(struct line *line, struct mirror *mirror)
{
    struct plan plan = understand(line);
    bool there = is_there();
    struct outcome outcome = expect(&plan, line, mirror, there);

    if (fchdir(home) != 0)
        FUZZ_CHECK(false, "the folder is gone");
    struct tool_run run = tool_run((const char *const *)line->words, line->n, line->input.data,
                                   line->input.len);
    check_run(line, &plan, &run);
    if (outcome.known)
        check_outcome(&outcome, &run);
    if (!outcome.known && may_change(line)) {
        load(mirror);
        fuzz_reached("not known beforehand");
    } else if (is_there()) {
        lxdb *db = open_db();
        mirror_check(mirror, db);
        FUZZ_CHECK(lxdb_close(db) == LXDB_OK, "%s", lxdb_errmsg(NULL));
    } else {
        FUZZ_CHECK(mirror->n == 0, "the file is gone");
    }
    naive_free(&outcome.out);
    tool_free(&run);
}

void fuzz_start(void)
{
    scratch_make();
    scratch_make_cheap();
}

void fuzz_end(void)
{
    scratch_remove();
}

int fuzz_one(uint8_t *data, size_t len)
{
    struct mirror mirror = {0};
    const uint8_t *at = data, *end = data + len;
    int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    unsigned lines = 0;

    scratch_clear();
    home = open(scratch_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    FUZZ_CHECK(before >= 0 && home >= 0, "no folder");
    while (at < end && lines < LINES) {
        const uint8_t *feed = memchr(at, '\n', (size_t)(end - at));
        size_t line_len = (size_t)((feed != NULL ? feed : end) - at);
        struct line line;

        split(&line, at, line_len);
        at += line_len + (feed != NULL);
        while (at < end && *at == '<') {
            feed = memchr(at, '\n', (size_t)(end - at));
            line_len = (size_t)((feed != NULL ? feed + 1 : end) - at);
            naive_add(&line.input, at + 1, line_len - 1);
            at += line_len;
        }
        if (line_len > 0 && may_run(&line)) {
            run_line(&line, &mirror);
            lines++;
        }
        free_line(&line);
    }
    mirror_clear(&mirror);
    if (fchdir(before) != 0)
        FUZZ_CHECK(false, "the working directory is gone");
    close(before);
    close(home);
    return lines == 0;
}
