/* SPDX-License-Identifier: MIT */
/* store/control.h: what a fresh block has, what outlives a fresh start, and the receipt. */
#include "store/control.h"

#include "sys/host.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- One mapped file for each test ----------------------------------------------------------- */

static int fd = -1;
static lx_map map;
static struct lx_control_file *file;

static int set_up(void **state)
{
    const char *tmp = getenv("TMPDIR");
    char dir[4000];
    int dirfd;

    (void)state;
    snprintf(dir, sizeof dir, "%s/lxdb-control-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(dir) == NULL)
        return -1;
    dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fd = openat(dirfd, "x", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    /* The descriptor is all that is used of it. */
    (void)unlinkat(dirfd, "x", 0);
    (void)close(dirfd);
    (void)rmdir(dir);
    if (fd < 0 || ftruncate(fd, LX_CONTROL_SIZE) < 0 ||
        lx_control_map(fd, "x", true, &map) != LXDB_OK)
        return -1;
    file = (struct lx_control_file *)(void *)map.base;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    lx_map_close(&map);
    return close(fd);
}

/* A receipt that can be told from others: every byte the same. */
static lxdb_report receipt_of(uint8_t fill)
{
    lxdb_report receipt;

    memset(&receipt, fill, sizeof receipt);
    return receipt;
}

static void assert_receipt(const lxdb_report *receipt, uint8_t fill)
{
    lxdb_report expected = receipt_of(fill);

    assert_memory_equal(receipt, &expected, sizeof expected);
}

/* ---- Mapping --------------------------------------------------------------------------------- */

static void map_for_reading_sees_what_another_mapping_stores(void **state)
{
    lx_map reader;
    const struct lx_control_file *seen;

    (void)state;
    assert_int_equal(lx_control_map(fd, "x", false, &reader), LXDB_OK);
    seen = (const struct lx_control_file *)(const void *)reader.base;
    assert_int_equal(lx_control_generation(seen), 0);
    lx_control_publish(file, 77);
    assert_int_equal(lx_control_generation(seen), 77);
    lx_map_close(&reader);
}

static void map_of_bad_descriptor_is_io(void **state)
{
    lx_map none = {0};

    (void)state;
    assert_int_equal(lx_control_map(-1, "x", true, &none), LXDB_IO);
    assert_null(none.base);
}

static void block_is_chosen_by_the_low_bit_of_the_generation(void **state)
{
    (void)state;
    assert_ptr_equal(lx_control_block(file, 0), &file->block0);
    assert_ptr_equal(lx_control_block(file, 1), &file->block1);
    assert_ptr_equal(lx_control_block(file, UINT64_C(1) << 40), &file->block0);
    assert_ptr_equal(lx_control_block(file, UINT64_MAX), &file->block1);
}

/* ---- Whose it is ----------------------------------------------------------------------------- */

static void blank_file_is_not_ours(void **state)
{
    (void)state;
    assert_false(lx_control_is_ours(file));
}

static void formatted_file_is_ours(void **state)
{
    (void)state;
    lx_control_format(file);
    assert_true(lx_control_is_ours(file));
}

static void any_flipped_bit_of_magic_or_signature_is_not_ours(void **state)
{
    (void)state;
    lx_control_format(file);
    for (unsigned bit = 0; bit < 64; bit++) {
        file->head.magic ^= UINT64_C(1) << bit;
        assert_false(lx_control_is_ours(file));
        file->head.magic ^= UINT64_C(1) << bit;
        file->head.signature ^= UINT64_C(1) << bit;
        assert_false(lx_control_is_ours(file));
        file->head.signature ^= UINT64_C(1) << bit;
    }
    assert_true(lx_control_is_ours(file));
}

/* ---- Making one ------------------------------------------------------------------------------ */

static void format_of_blank_file_starts_at_generation_one_and_is_not_ready(void **state)
{
    (void)state;
    lx_control_format(file);
    assert_int_equal(lx_control_generation(file), 1);
    assert_int_equal(file->head.ready, 0);
    assert_int_equal(file->head.poison, 0);
    assert_true(file->head.boot_id == lx_boot_id());
}

static void format_again_keeps_the_generation_growing(void **state)
{
    (void)state;
    lx_control_format(file);
    lx_control_publish(file, 41);
    lx_control_format(file);
    assert_int_equal(lx_control_generation(file), 42);
    lx_control_format(file);
    assert_int_equal(lx_control_generation(file), 43);
}

static void format_over_another_layout_believes_nothing_of_it(void **state)
{
    lxdb_report receipt = receipt_of(5);

    (void)state;
    lx_control_format(file);
    lx_control_publish(file, 41);
    file->head.poison = EIO;
    lx_control_receipt_store(file, &receipt);
    file->head.signature ^= 1;
    lx_control_format(file);
    assert_true(lx_control_is_ours(file));
    assert_int_equal(lx_control_generation(file), 1);
    assert_int_equal(file->head.poison, 0);
    assert_false(lx_control_receipt_load(file, &receipt));
}

static void format_clears_the_lock_and_both_blocks(void **state)
{
    struct lx_control_lock no_lock;
    struct lx_control_block no_block;

    (void)state;
    memset(&no_lock, 0, sizeof no_lock);
    memset(&no_block, 0, sizeof no_block);
    lx_control_format(file);
    memset(&file->lock, 0xa5, sizeof file->lock);
    memset(&file->block0, 0xa5, sizeof file->block0);
    memset(&file->block1, 0xa5, sizeof file->block1);
    file->head.ready = 1;
    lx_control_format(file);
    assert_memory_equal(&file->lock, &no_lock, sizeof no_lock);
    assert_memory_equal(&file->block0, &no_block, sizeof no_block);
    assert_memory_equal(&file->block1, &no_block, sizeof no_block);
    assert_int_equal(file->head.ready, 0);
}

static void format_on_the_same_boot_keeps_poison(void **state)
{
    (void)state;
    lx_control_format(file);
    file->head.poison = EIO;
    lx_control_format(file);
    assert_int_equal(file->head.poison, EIO);
}

static void format_after_a_reboot_drops_poison(void **state)
{
    (void)state;
    lx_control_format(file);
    file->head.poison = EIO;
    file->head.boot_id ^= 1;
    lx_control_format(file);
    assert_int_equal(file->head.poison, 0);
    assert_true(file->head.boot_id == lx_boot_id());
}

static void format_keeps_a_whole_receipt(void **state)
{
    lxdb_report receipt = receipt_of(5), loaded;

    (void)state;
    lx_control_format(file);
    lx_control_receipt_store(file, &receipt);
    lx_control_format(file);
    assert_true(lx_control_receipt_load(file, &loaded));
    assert_receipt(&loaded, 5);
}

static void format_drops_a_torn_receipt(void **state)
{
    lxdb_report receipt = receipt_of(5);

    (void)state;
    lx_control_format(file);
    lx_control_receipt_store(file, &receipt);
    file->head.receipt_seq |= 1;
    lx_control_format(file);
    assert_int_equal(file->head.receipt_seq, 0);
    assert_false(lx_control_receipt_load(file, &receipt));
}

/* ---- The receipt ----------------------------------------------------------------------------- */

static void receipt_is_missing_at_first_and_leaves_the_output(void **state)
{
    lxdb_report loaded = receipt_of(9);

    (void)state;
    lx_control_format(file);
    assert_false(lx_control_receipt_load(file, &loaded));
    assert_receipt(&loaded, 9);
}

static void receipt_stored_last_is_loaded(void **state)
{
    lxdb_report loaded;

    (void)state;
    for (uint8_t i = 1; i < 5; i++) {
        lxdb_report receipt = receipt_of(i);

        lx_control_receipt_store(file, &receipt);
        assert_int_equal(file->head.receipt_seq, 2 * i);
        assert_true(lx_control_receipt_load(file, &loaded));
        assert_receipt(&loaded, i);
    }
}

static void receipt_of_a_writer_that_died_in_it_is_none(void **state)
{
    lxdb_report receipt = receipt_of(5), loaded = receipt_of(9);

    (void)state;
    lx_control_receipt_store(file, &receipt);
    file->head.receipt_seq++;
    memset(&file->head.receipt, 6, sizeof file->head.receipt / 2);
    assert_false(lx_control_receipt_load(file, &loaded));
    assert_receipt(&loaded, 9);
}

static void receipt_stored_over_a_torn_one_is_whole(void **state)
{
    lxdb_report receipt = receipt_of(5), loaded;

    (void)state;
    file->head.receipt_seq = 7;
    lx_control_receipt_store(file, &receipt);
    assert_int_equal(file->head.receipt_seq, 8);
    assert_true(lx_control_receipt_load(file, &loaded));
    assert_receipt(&loaded, 5);
}

static void receipt_number_passes_zero_when_it_wraps(void **state)
{
    lxdb_report receipt = receipt_of(5), loaded;

    (void)state;
    file->head.receipt_seq = UINT32_MAX - 1;
    lx_control_receipt_store(file, &receipt);
    assert_int_equal(file->head.receipt_seq, 2);
    assert_true(lx_control_receipt_load(file, &loaded));
}

static _Atomic bool stop;

static void *store_receipts(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; !stop; i++) {
        lxdb_report receipt = receipt_of((uint8_t)i);

        lx_control_receipt_store(file, &receipt);
    }
    return NULL;
}

static void receipt_loaded_beside_a_writer_is_never_a_mixture(void **state)
{
    lxdb_report receipt = receipt_of(1), loaded;
    pthread_t writer;
    unsigned whole = 0;

    (void)state;
    lx_control_receipt_store(file, &receipt);
    stop = false;
    assert_int_equal(pthread_create(&writer, NULL, store_receipts, NULL), 0);
    for (int i = 0; i < 20000; i++) {
        uint8_t first;

        if (!lx_control_receipt_load(file, &loaded))
            continue;
        memcpy(&first, &loaded, 1);
        assert_receipt(&loaded, first);
        whole++;
    }
    stop = true;
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_true(whole > 0);
}

#define UNIT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(map_for_reading_sees_what_another_mapping_stores),
        UNIT(map_of_bad_descriptor_is_io),
        UNIT(block_is_chosen_by_the_low_bit_of_the_generation),
        UNIT(blank_file_is_not_ours),
        UNIT(formatted_file_is_ours),
        UNIT(any_flipped_bit_of_magic_or_signature_is_not_ours),
        UNIT(format_of_blank_file_starts_at_generation_one_and_is_not_ready),
        UNIT(format_again_keeps_the_generation_growing),
        UNIT(format_over_another_layout_believes_nothing_of_it),
        UNIT(format_clears_the_lock_and_both_blocks),
        UNIT(format_on_the_same_boot_keeps_poison),
        UNIT(format_after_a_reboot_drops_poison),
        UNIT(format_keeps_a_whole_receipt),
        UNIT(format_drops_a_torn_receipt),
        UNIT(receipt_is_missing_at_first_and_leaves_the_output),
        UNIT(receipt_stored_last_is_loaded),
        UNIT(receipt_of_a_writer_that_died_in_it_is_none),
        UNIT(receipt_stored_over_a_torn_one_is_whole),
        UNIT(receipt_number_passes_zero_when_it_wraps),
        UNIT(receipt_loaded_beside_a_writer_is_never_a_mixture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
