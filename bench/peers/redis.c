/* SPDX-License-Identifier: MIT */
/*
 * Redis behind the operations of engine.h: a server of our own on a Unix socket beside the
 * database, with an append-only file, that ends when we stop it or die.
 */
#include "bench/common.h"
#include "bench/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Arguments of a command at most: name, and key and value of each record of a batch. */
#define ARGUMENTS_MAX 2001
#define SERVER_MS 60000

struct server {
    pid_t pid;
};

struct redis {
    redisContext *context;
    const char *argument[ARGUMENTS_MAX];
    size_t length[ARGUMENTS_MAX];
    int n;
};

static char *socket_of(const char *path)
{
    return bench_text("%s/socket", path);
}

/* ---- The server ------------------------------------------------------------------------------ */

static noreturn void run_server(const char *path, const struct engine_config *config)
{
    char *socket = socket_of(path);
    int null = open("/dev/null", O_RDWR);

    bench_follow_parent();
    dup2(null, 0);
    dup2(null, 1);
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket, "--dir", path,
           "--save", "", "--appendonly", "yes", "--appendfsync",
           config->flags & ENGINE_DURABLE ? "always" : "no", "--auto-aof-rewrite-percentage", "0",
           "--daemonize", "no", (char *)NULL);
    fprintf(stderr, "bench: redis-server: %s\n", strerror(errno));
    _exit(BENCH_BROKEN);
}

/* NULL: nobody listens yet, or the server is still loading. */
static redisContext *try_connect(const char *path)
{
    char *socket = socket_of(path);
    redisContext *context = redisConnectUnix(socket);
    redisReply *reply = NULL;

    free(socket);
    if (context != NULL && context->err == 0)
        reply = redisCommand(context, "PING");
    if (reply != NULL && reply->type == REDIS_REPLY_STATUS) {
        freeReplyObject(reply);
        return context;
    }
    if (reply != NULL)
        freeReplyObject(reply);
    if (context != NULL)
        redisFree(context);
    return NULL;
}

static void *start_redis(const char *path, const struct engine_config *config)
{
    struct server *server = bench_alloc(1, sizeof *server);
    uint64_t start = bench_now();
    redisContext *context;

    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        bench_fail(BENCH_BROKEN, "redis: %s: %s", path, strerror(errno));
    server->pid = fork();
    if (server->pid < 0)
        bench_fail(BENCH_BROKEN, "cannot fork: %s", strerror(errno));
    if (server->pid == 0)
        run_server(path, config);
    while ((context = try_connect(path)) == NULL) {
        if (waitpid(server->pid, NULL, WNOHANG) != 0)
            bench_fail(BENCH_BROKEN, "redis: the server ended");
        if (bench_now() - start > (uint64_t)SERVER_MS * 1000000)
            bench_fail(BENCH_BROKEN, "redis: the server did not answer for %d ms", SERVER_MS);
        usleep(200);
    }
    redisFree(context);
    return server;
}

static void stop_redis(void *handle)
{
    struct server *server = handle;

    kill(server->pid, SIGTERM);
    waitpid(server->pid, NULL, 0);
    free(server);
}

static pid_t memory_of_redis(void *handle)
{
    const struct server *server = handle;

    return server->pid;
}

/* ---- Operations ------------------------------------------------------------------------------ */

static void *open_redis(const char *path, const struct engine_config *config)
{
    struct redis *db = bench_alloc(1, sizeof *db);

    (void)config;
    db->context = try_connect(path);
    if (db->context == NULL)
        bench_fail(BENCH_BROKEN, "redis: no server answers at %s", path);
    return db;
}

static void begin(struct redis *db, const char *command)
{
    db->argument[0] = command;
    db->length[0] = strlen(command);
    db->n = 1;
}

static void add(struct redis *db, const void *data, size_t len)
{
    if (db->n == ARGUMENTS_MAX)
        bench_fail(BENCH_BROKEN, "redis: more than %d arguments", ARGUMENTS_MAX);
    db->argument[db->n] = data;
    db->length[db->n++] = len;
}

/* Send the command and wait for its reply. */
static redisReply *ask(struct redis *db)
{
    redisReply *reply = redisCommandArgv(db->context, db->n, db->argument, db->length);

    if (reply == NULL || reply->type == REDIS_REPLY_ERROR)
        bench_fail(BENCH_BROKEN, "redis: %s: %s", db->argument[0],
                   reply != NULL ? reply->str : db->context->errstr);
    return reply;
}

/* The same for a command whose reply is a number, or OK (1). */
static long long ask_number(struct redis *db)
{
    redisReply *reply = ask(db);
    long long number = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 1;

    freeReplyObject(reply);
    return number;
}

static int get_redis(void *handle, const struct pair *pair, void *buf, size_t cap, size_t *ret_len)
{
    struct redis *db = handle;
    redisReply *reply;
    int rc = ENGINE_NO;

    begin(db, "GET");
    add(db, pair->key, pair->key_len);
    reply = ask(db);
    if (reply->type == REDIS_REPLY_STRING) {
        memcpy(buf, reply->str, reply->len < cap ? reply->len : cap);
        *ret_len = reply->len;
        rc = ENGINE_OK;
    }
    freeReplyObject(reply);
    return rc;
}

static size_t get_many_redis(void *handle, const struct pair *pairs, size_t n)
{
    struct redis *db = handle;
    redisReply *reply;
    size_t wrong = 0;

    begin(db, "MGET");
    for (size_t i = 0; i < n; i++)
        add(db, pairs[i].key, pairs[i].key_len);
    reply = ask(db);
    if (reply->elements != n)
        bench_fail(BENCH_BROKEN, "redis: MGET: %zu replies to %zu keys", reply->elements, n);
    for (size_t i = 0; i < n; i++)
        wrong += reply->element[i]->len != pairs[i].value_len;
    freeReplyObject(reply);
    return wrong;
}

static int put_command(struct redis *db, const char *command, const struct pair *pair)
{
    begin(db, command);
    add(db, pair->key, pair->key_len);
    add(db, pair->value, pair->value_len);
    return ask_number(db) == 1 ? ENGINE_OK : ENGINE_NO;
}

static int create_redis(void *db, const struct pair *pair)
{
    return put_command(db, "SETNX", pair);
}

static int put_redis(void *db, const struct pair *pair)
{
    return put_command(db, "SET", pair);
}

static int batch_del_redis(void *handle, const struct pair *pairs, size_t n)
{
    struct redis *db = handle;

    begin(db, "DEL");
    for (size_t i = 0; i < n; i++)
        add(db, pairs[i].key, pairs[i].key_len);
    return ask_number(db) == (long long)n ? ENGINE_OK : ENGINE_NO;
}

static int del_redis(void *db, const struct pair *pair)
{
    return batch_del_redis(db, pair, 1);
}

static int batch_redis(void *handle, const struct pair *pairs, size_t n)
{
    struct redis *db = handle;

    begin(db, "MSET");
    for (size_t i = 0; i < n; i++) {
        add(db, pairs[i].key, pairs[i].key_len);
        add(db, pairs[i].value, pairs[i].value_len);
    }
    ask_number(db);
    return ENGINE_OK;
}

/* Keys of one step of SCAN, and their values. */
static void tour_step(struct redis *db, const redisReply *keys, struct tour *tour)
{
    redisReply *values;

    begin(db, "MGET");
    for (size_t i = 0; i < keys->elements; i++)
        add(db, keys->element[i]->str, keys->element[i]->len);
    if (keys->elements == 0)
        return;
    values = ask(db);
    for (size_t i = 0; i < keys->elements && i < values->elements; i++)
        if (values->element[i]->type == REDIS_REPLY_STRING)
            tour_add(tour, keys->element[i]->str, keys->element[i]->len, values->element[i]->str,
                     values->element[i]->len);
    freeReplyObject(values);
}

static void tour_redis(void *handle, struct tour *tour)
{
    struct redis *db = handle;
    char cursor[24] = "0";

    do {
        redisReply *reply;

        begin(db, "SCAN");
        add(db, cursor, strlen(cursor));
        add(db, "COUNT", 5);
        add(db, "1000", 4);
        reply = ask(db);
        snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
        tour_step(db, reply->element[1], tour);
        freeReplyObject(reply);
    } while (strcmp(cursor, "0") != 0);
}

static uint64_t count_redis(void *handle)
{
    struct redis *db = handle;

    begin(db, "DBSIZE");
    return (uint64_t)ask_number(db);
}

static void close_redis(void *handle)
{
    struct redis *db = handle;

    redisFree(db->context);
    free(db);
}

static const char *missing_redis(void)
{
    const char *rest = getenv("PATH");
    bool found = false;

    while (rest != NULL && !found) {
        char *path = bench_text("%.*s/redis-server", (int)strcspn(rest, ":"), rest);

        found = access(path, X_OK) == 0;
        free(path);
        rest = strchr(rest, ':');
        if (rest != NULL)
            rest++;
    }
    return found ? NULL : "there is no redis-server in PATH";
}

static const char *version_redis(void)
{
    static char text[64];
    FILE *pipe = popen("redis-server --version", "r");
    const char *at;
    char line[256] = "";

    if (pipe != NULL && fgets(line, sizeof line, pipe) != NULL && (at = strstr(line, "v=")) != NULL)
        snprintf(text, sizeof text, "%.*s", (int)strcspn(at + 2, " \n"), at + 2);
    if (pipe != NULL)
        pclose(pipe);
    return text;
}

const struct engine engine_redis = {
    .name = "redis",
    .setting = "server on a Unix socket, appendonly, appendfsync no, no snapshots; a killed server "
               "loses nothing",
    .durable = "appendfsync always",
    .traits = ENGINE_SHARED | ENGINE_READERS,
    .version = version_redis,
    .missing = missing_redis,
    .start = start_redis,
    .stop = stop_redis,
    .open = open_redis,
    .get = get_redis,
    .get_many = get_many_redis,
    .create = create_redis,
    .put = put_redis,
    .del = del_redis,
    .batch = batch_redis,
    .batch_del = batch_del_redis,
    .tour = tour_redis,
    .count = count_redis,
    .memory_of = memory_of_redis,
    .close = close_redis,
};
