/* SPDX-License-Identifier: MIT */
/*
 * Says what a database makes of texts that may be JSON, for json_corpus.py. On stdin: texts, each
 * after its length as 4 bytes big-endian. On stdout a line for each, "yes" or "no". The argument is
 * the path of the database, which must not exist; it is left with the accepted texts in it.
 *
 * Whatever the verdict is, these hold for each text, or the program ends with a message:
 *
 *   - lxdb_set_json(), lxdb_batch_set_json() and the tool's json_check() say the same;
 *   - a refused text leaves the value as it was;
 *   - an accepted one is read back to the byte, with and without its tag, also after a compaction
 *     and another open;
 *   - stored under the tag of JSON by a raw write, a refused text is of no type but JSON.
 */
#include "base/byteorder.h"
#include "tools/json.h"

#include <inttypes.h>
#include <lxdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t number; /* of the present text; also its key */

#define KEY &number, sizeof number

static void demand(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "json_corpus: text %" PRIu32 ": %s: %s\n", number, what, lxdb_errmsg(NULL));
    exit(1);
}

static void demand_stored(lxdb *db, const char *bytes, size_t len, const char *what)
{
    void *value;
    size_t value_len;

    demand(lxdb_read_alloc(db, KEY, &value, &value_len) == LXDB_OK, "cannot be read");
    demand(value_len == len && memcmp(value, bytes, len) == 0, what);
    lxdb_free(value);
}

static bool batch_takes(lxdb *db, const char *text, size_t len)
{
    lxdb_batch *batch;

    demand(lxdb_batch_begin(db, &batch) == LXDB_OK, "no batch");
    int rc = lxdb_batch_set_json(batch, KEY, text, len);
    demand(rc == LXDB_OK || rc == LXDB_JSON, "the batch answers neither yes nor no");
    lxdb_batch_abort(batch);
    return rc == LXDB_OK;
}

/* `tagged` is the text behind the tag of JSON. */
static void check_accepted(lxdb *db, const char *tagged, size_t tagged_len)
{
    char *text;
    size_t len;

    demand_stored(db, tagged, tagged_len, "is stored as something else");
    demand(lxdb_get_json(db, KEY, &text, &len) == LXDB_OK, "cannot be got as JSON");
    demand(len == tagged_len - 1 && memcmp(text, tagged + 1, len) == 0 && text[len] == '\0',
           "is got as another text");
    lxdb_free(text);
}

static void check_refused(lxdb *db, const char *tagged, size_t tagged_len)
{
    char *text;
    int64_t whole;
    double real;
    int truth;

    demand_stored(db, "before", 6, "was refused and changed the value");
    demand(lxdb_write(db, KEY, tagged, tagged_len) == LXDB_OK, "no raw write");
    demand(lxdb_get_str(db, KEY, &text, NULL) == LXDB_TYPE, "is a string");
    demand(lxdb_get_int(db, KEY, &whole) == LXDB_TYPE, "is an integer");
    demand(lxdb_get_double(db, KEY, &real) == LXDB_TYPE, "is a number");
    demand(lxdb_get_bool(db, KEY, &truth) == LXDB_TYPE, "is true or false");
    demand(lxdb_delete(db, KEY) == LXDB_OK, "cannot be deleted");
}

static bool judge(lxdb *db, const char *tagged, size_t tagged_len)
{
    const char *text = tagged + 1;
    size_t len = tagged_len - 1;
    const char *value;
    size_t value_len;

    demand(lxdb_write(db, KEY, "before", 6) == LXDB_OK, "no raw write");
    int rc = lxdb_set_json(db, KEY, text, len);
    demand(rc == LXDB_OK || rc == LXDB_JSON, "is answered neither yes nor no");
    bool accepted = rc == LXDB_OK;
    demand(batch_takes(db, text, len) == accepted, "a batch gives another verdict");
    demand(json_check(text, len, &value, &value_len) == accepted, "the tool has another verdict");
    if (accepted)
        check_accepted(db, tagged, tagged_len);
    else
        check_refused(db, tagged, tagged_len);
    return accepted;
}

/* The next text, behind the tag of JSON and in memory that ends with it, so that overruns show.
 * NULL at the end. */
static char *next_text(size_t *ret_tagged_len)
{
    uint8_t head[4];

    if (fread(head, 1, sizeof head, stdin) != sizeof head)
        return NULL;
    size_t len = lx_get32(head);
    char *tagged = malloc(len + 1);
    demand(tagged != NULL, "no memory");
    tagged[0] = 1;
    demand(fread(tagged + 1, 1, len, stdin) == len, "is cut short on stdin");
    *ret_tagged_len = len + 1;
    return tagged;
}

struct accepted {
    uint32_t number;
    char *tagged;
    size_t tagged_len;
};

int main(int argc, char **argv)
{
    static struct accepted accepted[65536];
    const lxdb_options create = {.size = sizeof create, .flags = LXDB_EXCL};
    size_t n = 0;
    lxdb *db;

    if (argc != 2) {
        fputs("usage: json_corpus DATABASE\n", stderr);
        return 2;
    }
    demand(lxdb_open(argv[1], &create, &db) == LXDB_OK, "the database cannot be made");
    for (size_t tagged_len;; number++) {
        char *tagged = next_text(&tagged_len);
        if (!tagged)
            break;
        bool yes = judge(db, tagged, tagged_len);
        puts(yes ? "yes" : "no");
        if (!yes) {
            free(tagged);
            continue;
        }
        demand(n < sizeof accepted / sizeof accepted[0], "too many texts");
        accepted[n++] = (struct accepted){number, tagged, tagged_len};
    }
    demand(lxdb_compact(db, NULL) == LXDB_OK, "no compaction");
    demand(lxdb_close(db) == LXDB_OK, "the database cannot be closed");
    demand(lxdb_open(argv[1], NULL, &db) == LXDB_OK, "the database cannot be opened again");
    for (size_t i = 0; i < n; i++) {
        number = accepted[i].number;
        check_accepted(db, accepted[i].tagged, accepted[i].tagged_len);
        free(accepted[i].tagged);
    }
    uint64_t count;
    demand(lxdb_count(db, &count) == LXDB_OK && count == n, "other keys than those accepted");
    demand(lxdb_close(db) == LXDB_OK, "the database cannot be closed again");
    return ferror(stdin) ? 1 : 0;
}
