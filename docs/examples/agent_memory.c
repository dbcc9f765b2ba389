/* SPDX-License-Identifier: MIT */
/*
 * The memory of an agent: facts, its state, and the turns of a conversation, each in a namespace of
 * one database. A step stores its turn and the state that follows from it as one batch, so that
 * nobody, not even after a crash, finds one without the other. Other processes may read and write
 * the same memory meanwhile.
 *
 * Build:   cc -o agent_memory agent_memory.c $(pkg-config --cflags --libs lxdb)
 * Prints, at its first run:
 *     user: {"name": "Ada", "city": "London"}
 *     state: "waiting for the user"
 *     the last turns, newest first:
 *     00000004 {"role": "agent", "text": "It rains in London."}
 *     00000003 {"role": "tool", "text": "London: rain, 12 C"}
 *     00000002 {"role": "agent", "call": "weather", "city": "London"}
 */
#include <lxdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 3

static void check(int rc)
{
    if (rc != LXDB_OK) {
        fprintf(stderr, "agent_memory: %s\n", lxdb_errmsg(NULL));
        exit(1);
    }
}

/* A batch on the handle of the database reaches all namespaces. There a key is spelled as it is
 * stored: the name of the namespace, a NUL, the key. Returns its length. */
static size_t spell(char *to, size_t size, const char *space, const char *key)
{
    int len = snprintf(to, size, "%s%c%s", space, '\0', key);

    if (len < 0 || (size_t)len >= size)
        abort();
    return (size_t)len;
}

/* One step of the agent: `turn` and `state` are JSON. */
static void step(lxdb *db, const char *turn, const char *state)
{
    char number[24];
    char key[64];
    int64_t n;
    size_t len;
    lxdb_batch *batch;

    /* Numbers of one width sort as they count. Nobody gets the same one, in whatever process. */
    check(lxdb_incr(db, "turns", 5, 1, &n));
    snprintf(number, sizeof number, "%08lld", (long long)n);

    check(lxdb_batch_begin(db, &batch));
    len = spell(key, sizeof key, "turns", number);
    check(lxdb_batch_set_json(batch, key, len, turn, strlen(turn)));
    len = spell(key, sizeof key, "state", "doing");
    check(lxdb_batch_set_json(batch, key, len, state, strlen(state)));
    check(lxdb_batch_commit(batch, NULL, NULL));
}

static void show_json(lxdb *space, const char *key, const char *label)
{
    char *text;

    check(lxdb_get_json(space, key, strlen(key), &text, NULL));
    printf("%s: %s\n", label, text);
    lxdb_free(text);
}

static void show_last_turns(lxdb *turns)
{
    lxdb_iter *iter;
    const void *key;
    const void *value;
    size_t key_len;
    size_t value_len;
    int rc = LXDB_OK;

    printf("the last turns, newest first:\n");
    check(lxdb_iter_open(turns, NULL, 0, LXDB_ITER_REVERSE, &iter));
    for (int i = 0; i < SHOWN; i++) {
        rc = lxdb_iter_next(iter, &key, &key_len, &value, &value_len);
        if (rc != LXDB_OK)
            break;
        /* A value as it is stored: one tag byte, 0x01, stands before JSON. */
        printf("%.*s %.*s\n", (int)key_len, (const char *)key, (int)value_len - 1,
               (const char *)value + 1);
    }
    if (rc != LXDB_NOTFOUND) /* the end */
        check(rc);
    lxdb_iter_close(iter);
}

int main(void)
{
    static const char ada[] = "{\"name\": \"Ada\", \"city\": \"London\"}";
    lxdb *db;
    lxdb *facts;
    lxdb *state;
    lxdb *turns;

    check(lxdb_open("agent.lxdb", NULL, &db));
    check(lxdb_namespace(db, "facts", &facts));
    check(lxdb_namespace(db, "state", &state));
    check(lxdb_namespace(db, "turns", &turns));

    check(lxdb_set_json(facts, "user", 4, ada, strlen(ada)));
    step(db, "{\"role\": \"user\", \"text\": \"How is the weather?\"}", "\"asking the weather\"");
    step(db, "{\"role\": \"agent\", \"call\": \"weather\", \"city\": \"London\"}",
         "\"waiting for a tool\"");
    step(db, "{\"role\": \"tool\", \"text\": \"London: rain, 12 C\"}", "\"answering\"");
    step(db, "{\"role\": \"agent\", \"text\": \"It rains in London.\"}",
         "\"waiting for the user\"");

    show_json(facts, "user", "user");
    show_json(state, "doing", "state");
    show_last_turns(turns);

    check(lxdb_close(turns));
    check(lxdb_close(state));
    check(lxdb_close(facts));
    check(lxdb_close(db));
    return 0;
}
