/* SPDX-License-Identifier: MIT */
/*
 * The commands that look after a database: stat verify recover compact.
 */
#include "cli.h"
#include "output.h"

#include <inttypes.h>
#include <time.h>

int command_stat(struct cli *cli)
{
    lxdb_stat_info info = {0};
    struct out_fields fields;
    char command[sizeof(info.lock_command) + 1] = {0};
    int rc = lxdb_stat(cli->db, &info);

    if (rc != LXDB_OK)
        return out_fail(cli, rc);
    for (size_t i = 0; i < sizeof(info.lock_command) && info.lock_command[i] != '\0'; i++)
        command[i] = info.lock_command[i];
    out_fields_begin(&fields, cli->json);
    out_field_number(&fields, "records", info.records);
    out_field_number(&fields, "live_bytes", info.live_bytes);
    out_field_number(&fields, "dead_bytes", info.dead_bytes);
    out_field_number(&fields, "data_size", info.data_size);
    out_field_number(&fields, "index_size", info.index_size);
    out_field_number(&fields, "index_slots", info.index_slots);
    out_field_number(&fields, "index_used", info.index_used);
    out_field_number(&fields, "generation", info.generation);
    out_field_number(&fields, "position", info.position);
    out_field_number(&fields, "durable", info.durable);
    out_field_number(&fields, "handles", info.handles);
    out_field_number(&fields, "commits", info.commits);
    out_field_number(&fields, "syncs", info.syncs);
    out_field_number(&fields, "recoveries", info.recoveries);
    out_field_number(&fields, "compactions", info.compactions);
    out_field_number(&fields, "lock_pid", info.lock_pid);
    out_field_number(&fields, "lock_age_ms", info.lock_age_ms);
    out_field_text(&fields, "lock_command", command);
    out_field_number(&fields, "sync_errno", (uint64_t)(uint32_t)info.sync_errno);
    out_fields_end(&fields);
    return CLI_OK;
}

static void print_time(struct out_fields *fields, int64_t time_ms)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    char text[64];

    if (time_ms <= 0)
        return;
    if (fields->json)
        out_field_number(fields, "time_ms", (uint64_t)time_ms);
    else if (gmtime_r(&seconds, &parts) != NULL &&
             strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts) != 0)
        out_field_text(fields, "time", text);
}

static void print_ranges(bool json, const lxdb_report *report)
{
    uint64_t n = report->ranges_listed;

    if (n > LXDB_REPORT_RANGES)
        n = LXDB_REPORT_RANGES;
    if (json)
        out_printf(",\"ranges\":[");
    for (uint64_t i = 0; i < n; i++) {
        const lxdb_range *range = &report->ranges[i];
        const char *kind = range->kind == LXDB_RANGE_CUT ? "cut" : "damaged";

        out_printf(json ? "%s{\"kind\":\"%s\",\"offset\":%" PRIu64 ",\"length\":%" PRIu64 "}"
                        : "%s%-20s offset %" PRIu64 " length %" PRIu64 "\n",
                   json && i > 0 ? "," : "", kind, range->offset, range->length);
    }
    if (json)
        out_printf("]");
    else if (report->ranges_total > n)
        out_printf("%-20s %" PRIu64 " more\n", "", report->ranges_total - n);
}

static void print_report(const struct cli *cli, const lxdb_report *report)
{
    struct out_fields fields;

    out_fields_begin(&fields, cli->json);
    print_time(&fields, report->time_ms);
    out_field_truth(&fields, "crashed", report->crashed != 0);
    out_field_truth(&fields, "bad_watermark", report->bad_watermark != 0);
    out_field_number(&fields, "file_size", report->file_size);
    out_field_number(&fields, "tail", report->tail);
    out_field_number(&fields, "watermark", report->watermark);
    out_field_number(&fields, "records_live", report->records_live);
    out_field_number(&fields, "records_dead", report->records_dead);
    out_field_number(&fields, "live_bytes", report->live_bytes);
    out_field_number(&fields, "bytes_cut", report->bytes_cut);
    out_field_number(&fields, "bytes_damaged", report->bytes_damaged);
    out_field_number(&fields, "dead_without_cause", report->dead_without_cause);
    out_field_number(&fields, "ranges_total", report->ranges_total);
    print_ranges(cli->json, report);
    out_fields_end(&fields);
}

int command_verify(struct cli *cli)
{
    lxdb_report report = {0};
    struct out_bar bar;
    int rc;

    out_bar_begin(&bar, "verify");
    rc = lxdb_verify(cli->file, &report, &bar.progress);
    out_bar_end(&bar);
    if (rc == LXDB_NOTFOUND)
        return out_no_file(cli);
    if (rc != LXDB_OK && rc != LXDB_CORRUPT)
        return out_fail(cli, rc);
    print_report(cli, &report);
    if (rc == LXDB_OK)
        return CLI_OK;
    return out_message(cli, "corrupt", CLI_NO, "%s", lxdb_errmsg(NULL));
}

/* Opening has recovered already, if there was need to. */
int command_recover(struct cli *cli)
{
    lxdb_report report = {0};
    int rc = lxdb_recovery(cli->db, &report);

    if (rc == LXDB_NOTFOUND) {
        out_note(cli, "%s: there was nothing to recover", cli->file);
        if (cli->json)
            out_printf("null\n");
        return CLI_OK;
    }
    if (rc != LXDB_OK)
        return out_fail(cli, rc);
    print_report(cli, &report);
    return CLI_OK;
}

int command_compact(struct cli *cli)
{
    lxdb_stat_info before = {0};
    lxdb_stat_info after = {0};
    struct out_fields fields;
    struct out_bar bar;
    int rc = lxdb_stat(cli->db, &before);

    if (rc != LXDB_OK)
        return out_fail(cli, rc);
    out_bar_begin(&bar, "compact");
    rc = lxdb_compact(cli->db, &bar.progress);
    out_bar_end(&bar);
    if (rc == LXDB_OK)
        rc = lxdb_stat(cli->db, &after);
    if (rc != LXDB_OK)
        return out_fail(cli, rc);
    out_fields_begin(&fields, cli->json);
    out_field_number(&fields, "bytes_before", before.live_bytes + before.dead_bytes);
    out_field_number(&fields, "bytes_after", after.live_bytes + after.dead_bytes);
    out_fields_end(&fields);
    return CLI_OK;
}
