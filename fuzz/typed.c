/* SPDX-License-Identifier: MIT */
/*
 * The input is a script of typed values. Each step is a byte that says what to do (low four bits)
 * and with which key (high bits), and what it needs: 8 bytes of a number, or a length in one byte
 * and that many bytes, where 255 means all that are left. After each step every typed getter is
 * asked for that key, and must answer what naive_json.c says of the bytes that should be stored.
 */
#include "fuzz/driver.h"
#include "fuzz/mirror.h"
#include "fuzz/naive_json.h"
#include "fuzz/scratch.h"

#include <lxdb_json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char fuzz_name[] = "typed";

enum { TAG_BYTES = 0x00, TAG_JSON = 0x01 };

enum step {
    SET_BYTES,
    SET_JSON,
    SET_STR,
    SET_INT,
    SET_DOUBLE,
    SET_BOOL,
    SET_NULL,
    SET_TREE,
    WRITE_RAW,
    WRITE_TAGGED,
    BATCH_JSON,
    INCR,
    DELETE,
    REOPEN,
    STEPS
};

struct script {
    struct fuzz_input input;
    lxdb *db;
    struct mirror mirror;
    uint8_t key;
};

#define KEY(script) &(script)->key, sizeof(script)->key

/* ---- What the getters should answer ---------------------------------------------------------- */

/* A stored value, as the getters see it. */
struct seen {
    const struct mirror_record *record; /* NULL: there is none */
    const uint8_t *json;                /* the text behind a tag of JSON, or NULL */
    size_t json_len;
    const uint8_t *value; /* the one value in that text, or NULL */
    size_t value_len;
};

static struct seen see(const struct script *script)
{
    struct seen seen = {.record = mirror_find(&script->mirror, KEY(script))};
    size_t at;

    if (seen.record == NULL || seen.record->value_len == 0 || seen.record->value[0] != TAG_JSON)
        return seen;
    seen.json = seen.record->value + 1;
    seen.json_len = seen.record->value_len - 1;
    if (naive_json(seen.json, seen.json_len, &at, &seen.value_len))
        seen.value = seen.json + at;
    return seen;
}

static bool is_number(const struct seen *seen)
{
    return seen->value != NULL &&
           (*seen->value == '-' || (*seen->value >= '0' && *seen->value <= '9'));
}

/* What a getter answers for a value that has, or has not, the type asked for. */
static int answer(const struct seen *seen, bool of_type)
{
    return seen->record == NULL ? LXDB_NOTFOUND : of_type ? LXDB_OK : LXDB_TYPE;
}

static void check_bytes(const char *what, int rc, int wanted, const void *got, size_t got_len,
                        const uint8_t *want, size_t want_len)
{
    FUZZ_CHECK(rc == wanted, "%s: %d instead of %d", what, rc, wanted);
    if (rc != LXDB_OK) {
        FUZZ_CHECK(got == NULL && got_len == 77, "%s: failed, and has changed its outputs", what);
        return;
    }
    FUZZ_CHECK(got_len == want_len && (want_len == 0 || memcmp(got, want, want_len) == 0),
               "%s: other bytes", what);
    FUZZ_CHECK(((const char *)got)[got_len] == '\0', "%s: no NUL behind it", what);
}

static void check_texts(const struct script *script, const struct seen *seen)
{
    struct naive_bytes text = {0};
    bool string = seen->value != NULL && *seen->value == '"';
    bool bytes = seen->record != NULL && seen->record->value_len > 0 &&
                 seen->record->value[0] == TAG_BYTES;
    void *block = NULL;
    char *got = NULL;
    size_t len = 77;
    int rc = lxdb_get_json(script->db, KEY(script), &got, &len);

    check_bytes("get_json", rc, answer(seen, seen->json != NULL), got, len, seen->json,
                seen->json_len);
    lxdb_free(got);
    len = 77;
    rc = lxdb_get_bytes(script->db, KEY(script), &block, &len);
    check_bytes("get_bytes", rc, answer(seen, bytes), block, len,
                bytes ? seen->record->value + 1 : NULL, bytes ? seen->record->value_len - 1 : 0);
    lxdb_free(block);
    got = NULL;
    len = 77;
    if (string) {
        naive_unquote(&text, seen->value, seen->value_len);
        fuzz_reached("strings");
    }
    rc = lxdb_get_str(script->db, KEY(script), &got, &len);
    check_bytes("get_str", rc, answer(seen, string), got, len, text.data, text.len);
    lxdb_free(got);
    naive_free(&text);
}

static void check_numbers(const struct script *script, const struct seen *seen)
{
    int64_t whole = 77, want_whole = 77;
    double real = 77, want_real = 77;
    int truth = 77, want_truth = 77;
    bool number = is_number(seen);
    bool of_type = number && naive_integer(seen->value, seen->value_len, &want_whole);
    int rc = lxdb_get_int(script->db, KEY(script), &whole);

    FUZZ_CHECK(rc == answer(seen, of_type) && whole == want_whole, "get_int: %d, %lld", rc,
               (long long)whole);
    if (of_type)
        fuzz_reached("integers");
    if (number) {
        double nearest = naive_double(seen->value, seen->value_len);
        if (isfinite(nearest))
            want_real = nearest;
        else
            number = false;
        fuzz_reached(number ? "doubles" : "numbers beyond doubles");
    }
    rc = lxdb_get_double(script->db, KEY(script), &real);
    FUZZ_CHECK(rc == answer(seen, number) && memcmp(&real, &want_real, sizeof real) == 0,
               "get_double: %d, %a instead of %a", rc, real, want_real);
    of_type = seen->value != NULL && (*seen->value == 't' || *seen->value == 'f');
    if (of_type)
        want_truth = *seen->value == 't';
    rc = lxdb_get_bool(script->db, KEY(script), &truth);
    FUZZ_CHECK(rc == answer(seen, of_type) && truth == want_truth, "get_bool: %d, %d", rc, truth);
}

/* ---- Trees ----------------------------------------------------------------------------------- */

/* Whether a cJSON tree can hold the text: it ends strings at a NUL, and some releases read at most
 * 63 characters of a number. */
enum fit { NEVER, PERHAPS, ALWAYS };

static enum fit fits_tree(const uint8_t *text, size_t len)
{
    enum fit fit = ALWAYS;
    size_t run = 0;
    bool string = false;

    for (size_t i = 0; i < len; i++) {
        if (string && text[i] == '\\') {
            if (len - i > 6 && memcmp(text + i, "\\u0000", 6) == 0)
                return NEVER;
            i++;
        } else if (text[i] == '"') {
            string = !string;
        }
        run = !string && memchr("0123456789+-.eE", text[i], 15) ? run + 1 : 0;
        if (run > 63)
            fit = PERHAPS;
    }
    return fit;
}

static void check_tree(const struct script *script, const struct seen *seen)
{
    cJSON *tree = NULL;
    enum fit fit = seen->value != NULL ? fits_tree(seen->json, seen->json_len) : NEVER;
    int rc = lxdb_get(script->db, KEY(script), &tree);

    FUZZ_CHECK(rc == answer(seen, fit == ALWAYS) || (fit == PERHAPS && rc == LXDB_OK),
               "get: %d of %.*s", rc, seen->json != NULL ? (int)seen->json_len : 0,
               (const char *)seen->json);
    FUZZ_CHECK((tree != NULL) == (rc == LXDB_OK), "get: a tree, or none");
    if (tree == NULL)
        return;
    bool right = *seen->value == '{'   ? cJSON_IsObject(tree)
                 : *seen->value == '[' ? cJSON_IsArray(tree)
                 : *seen->value == '"' ? cJSON_IsString(tree)
                 : *seen->value == 'n' ? cJSON_IsNull(tree)
                 : !is_number(seen)
                     ? cJSON_IsBool(tree)
                     : cJSON_IsNumber(tree) &&
                           tree->valuedouble == naive_double(seen->value, seen->value_len);
    FUZZ_CHECK(right, "get: a tree of another type, or another number");
    cJSON_Delete(tree);
    fuzz_reached("trees");
}

static bool finite_tree(const cJSON *tree)
{
    if (cJSON_IsNumber(tree) && !isfinite(tree->valuedouble))
        return false;
    for (const cJSON *item = tree->child; item != NULL; item = item->next)
        if (!finite_tree(item))
            return false;
    return true;
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static void check_key(const struct script *script)
{
    struct seen seen = see(script);

    check_texts(script, &seen);
    check_numbers(script, &seen);
    check_tree(script, &seen);
}

static const uint8_t *take_bytes(struct script *script, size_t *ret_len)
{
    const uint8_t *bytes;
    size_t len = fuzz_byte(&script->input);

    if (len == 255 || len > script->input.left)
        len = script->input.left;
    bytes = script->input.at;
    script->input.at += len;
    script->input.left -= len;
    *ret_len = len;
    return bytes;
}

static uint64_t take_word(struct script *script)
{
    uint64_t word = 0;

    for (int i = 0; i < 8; i++)
        word = word << 8 | fuzz_byte(&script->input);
    return word;
}

static void expect_stored(struct script *script, uint8_t tag, const void *text, size_t len)
{
    struct naive_bytes stored = {0};

    naive_add(&stored, &tag, 1);
    naive_add(&stored, text, len);
    mirror_put(&script->mirror, KEY(script), stored.data, stored.len);
    naive_free(&stored);
}

static void expect_rc(const struct script *script, int rc, int wanted)
{
    FUZZ_CHECK(rc == wanted, "%d instead of %d: %s", rc, wanted, lxdb_errmsg(script->db));
}

static void set_json(struct script *script, bool in_batch)
{
    size_t len, at, value_len;
    const uint8_t *text = take_bytes(script, &len);
    bool json = naive_json(text, len, &at, &value_len);
    lxdb_batch *batch;
    int rc;

    if (in_batch) {
        expect_rc(script, lxdb_batch_begin(script->db, &batch), LXDB_OK);
        rc = lxdb_batch_set_json(batch, KEY(script), (const char *)text, len);
        expect_rc(script, lxdb_batch_commit(batch, NULL, NULL), LXDB_OK);
    } else {
        rc = lxdb_set_json(script->db, KEY(script), (const char *)text, len);
    }
    expect_rc(script, rc, json ? LXDB_OK : LXDB_JSON);
    if (json)
        expect_stored(script, TAG_JSON, text, len);
    fuzz_reached(json ? "JSON accepted" : "JSON refused");
}

static void set_str(struct script *script)
{
    struct naive_bytes quoted = {0};
    size_t len;
    const uint8_t *text = take_bytes(script, &len);
    bool utf8 = naive_utf8(text, len);

    expect_rc(script, lxdb_set_str(script->db, KEY(script), (const char *)text, len),
              utf8 ? LXDB_OK : LXDB_JSON);
    if (utf8) {
        naive_quote(&quoted, text, len);
        expect_stored(script, TAG_JSON, quoted.data, quoted.len);
        naive_free(&quoted);
    }
}

/* Of the shortest decimal that reads back as `number`, how many digits. */
static int digits_needed(double number)
{
    char text[64];
    int digits = 1;

    for (;; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, number);
        if (digits == 17 || naive_double((const uint8_t *)text, strlen(text)) == number)
            return digits;
    }
}

/* How the double is written is the library's choice; that it is a number which reads back as the
 * same, looks like no integer, and has no digit that it does not need, is not. */
static void set_double(struct script *script)
{
    uint64_t bits = take_word(script);
    double number;
    size_t len, significant = 0;
    char *text;

    memcpy(&number, &bits, sizeof number);
    int rc = lxdb_set_double(script->db, KEY(script), number);
    expect_rc(script, rc, isfinite(number) ? LXDB_OK : LXDB_INVALID);
    if (rc != LXDB_OK)
        return;
    expect_rc(script, lxdb_get_json(script->db, KEY(script), &text, &len), LXDB_OK);
    double back = naive_double((const uint8_t *)text, len);
    FUZZ_CHECK(memcmp(&back, &number, sizeof back) == 0, "%a is stored as %s", number, text);
    FUZZ_CHECK(strpbrk(text, ".e") != NULL, "%a is stored as %s", number, text);
    size_t zeros = 0;
    for (const char *p = text; *p && *p != 'e'; p++) {
        if (*p == '0' && significant > 0)
            zeros++;
        else if (*p >= '1' && *p <= '9') {
            significant += zeros + 1;
            zeros = 0;
        }
    }
    FUZZ_CHECK(significant <= (size_t)digits_needed(number), "%a is stored as %s", number, text);
    expect_stored(script, TAG_JSON, text, len);
    lxdb_free(text);
}

static void set_tree(struct script *script)
{
    size_t len, at, value_len;
    const uint8_t *text = take_bytes(script, &len);
    cJSON *tree = len ? cJSON_ParseWithLength((const char *)text, len) : NULL;

    if (tree == NULL)
        return;
    char *printed = cJSON_PrintUnformatted(tree);
    bool json = printed != NULL && finite_tree(tree) &&
                naive_json((const uint8_t *)printed, strlen(printed), &at, &value_len);
    expect_rc(script, lxdb_set(script->db, KEY(script), tree), json ? LXDB_OK : LXDB_JSON);
    if (json)
        expect_stored(script, TAG_JSON, printed, strlen(printed));
    fuzz_reached(json ? "trees set" : "trees refused");
    cJSON_free(printed);
    cJSON_Delete(tree);
}

static void incr(struct script *script)
{
    struct seen seen = see(script);
    int64_t by = (int64_t)take_word(script);
    int64_t number = 0, sum = 77, want = 77;
    char text[32];
    int wanted = LXDB_OK;

    if (seen.record != NULL &&
        !(is_number(&seen) && naive_integer(seen.value, seen.value_len, &number)))
        wanted = LXDB_TYPE;
    else if (__builtin_add_overflow(number, by, &want)) {
        wanted = LXDB_INVALID;
        fuzz_reached("sums beyond 64 bits");
    }
    if (wanted != LXDB_OK)
        want = 77;
    int rc = lxdb_incr(script->db, KEY(script), by, &sum);
    FUZZ_CHECK(rc == wanted && sum == want, "incr: %d, %lld", rc, (long long)sum);
    if (rc == LXDB_OK) {
        snprintf(text, sizeof text, "%lld", (long long)sum);
        expect_stored(script, TAG_JSON, text, strlen(text));
    }
}

static void set_int(struct script *script)
{
    int64_t number = (int64_t)take_word(script);
    char text[32];

    snprintf(text, sizeof text, "%lld", (long long)number);
    expect_rc(script, lxdb_set_int(script->db, KEY(script), number), LXDB_OK);
    expect_stored(script, TAG_JSON, text, strlen(text));
}

static void set_plain(struct script *script, enum step step)
{
    size_t len;
    const uint8_t *bytes = take_bytes(script, &len);

    if (step == SET_BYTES) {
        expect_rc(script, lxdb_set_bytes(script->db, KEY(script), bytes, len), LXDB_OK);
        expect_stored(script, TAG_BYTES, bytes, len);
        return;
    }
    if (step == WRITE_RAW)
        mirror_put(&script->mirror, KEY(script), bytes, len);
    else
        expect_stored(script, TAG_JSON, bytes, len);
    const struct mirror_record *record = mirror_find(&script->mirror, KEY(script));
    expect_rc(script, lxdb_write(script->db, KEY(script), record->value, record->value_len),
              LXDB_OK);
    fuzz_reached("raw values");
}

static void set_word(struct script *script, const char *word)
{
    int rc = *word == 'n' ? lxdb_set_null(script->db, KEY(script))
                          : lxdb_set_bool(script->db, KEY(script), *word == 't');

    expect_rc(script, rc, LXDB_OK);
    expect_stored(script, TAG_JSON, word, strlen(word));
}

static void open_db(struct script *script)
{
    FUZZ_CHECK(lxdb_open(scratch_path, NULL, &script->db) == LXDB_OK, "%s", lxdb_errmsg(NULL));
}

static void take_step(struct script *script)
{
    uint8_t byte = fuzz_byte(&script->input);
    enum step step = (byte & 15) % STEPS;

    script->key = (uint8_t)('a' + (byte >> 4) % 4);
    switch (step) {
    case SET_JSON:
    case BATCH_JSON:
        set_json(script, step == BATCH_JSON);
        break;
    case SET_STR:
        set_str(script);
        break;
    case SET_INT:
        set_int(script);
        break;
    case SET_DOUBLE:
        set_double(script);
        break;
    case SET_BOOL:
        set_word(script, byte & 0x80 ? "true" : "false");
        break;
    case SET_NULL:
        set_word(script, "null");
        break;
    case SET_TREE:
        set_tree(script);
        break;
    case INCR:
        incr(script);
        break;
    case DELETE:
        expect_rc(script, lxdb_delete(script->db, KEY(script)),
                  mirror_delete(&script->mirror, KEY(script)) ? LXDB_OK : LXDB_NOTFOUND);
        break;
    case REOPEN:
        expect_rc(script, lxdb_close(script->db), LXDB_OK);
        open_db(script);
        fuzz_reached("reopened");
        break;
    default:
        set_plain(script, step);
        break;
    }
    check_key(script);
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
    struct script script = {.input = fuzz_input(data, len)};

    if (len == 0)
        return 1;
    scratch_clear();
    open_db(&script);
    for (unsigned i = 0; i < 64 && script.input.left > 0; i++)
        take_step(&script);
    mirror_check(&script.mirror, script.db);
    expect_rc(&script, lxdb_close(script.db), LXDB_OK);
    mirror_clear(&script.mirror);
    return 0;
}
