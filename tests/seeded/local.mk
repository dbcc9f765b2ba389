# SPDX-License-Identifier: MIT
# Bugs on purpose, each to be caught by its test: `make seeded`, one of them with SEEDED=NAME, with
# JOBS=N in so many copies of the tree. They stay in seeded.work, for the next time.

SEEDED_PATCHES = \
	tests/seeded/any_file_of_the_name_is_opened.patch \
	tests/seeded/batch_crc_without_the_status.patch \
	tests/seeded/batch_without_an_odd_number.patch \
	tests/seeded/block_of_another_generation.patch \
	tests/seeded/chains_are_followed_without_credit.patch \
	tests/seeded/changed_segment_stays_sealed.patch \
	tests/seeded/close_is_not_synced.patch \
	tests/seeded/close_leaves_the_repair.patch \
	tests/seeded/close_unmarks_before_it_syncs.patch \
	tests/seeded/closing_takes_no_gate.patch \
	tests/seeded/compacted_file_is_not_synced.patch \
	tests/seeded/compaction_checks_no_crc.patch \
	tests/seeded/compaction_copies_groups_verbatim.patch \
	tests/seeded/compaction_drops_expiries.patch \
	tests/seeded/compaction_drops_markers.patch \
	tests/seeded/compaction_misses_the_last_part.patch \
	tests/seeded/compaction_moves_positions.patch \
	tests/seeded/compaction_publishes_first.patch \
	tests/seeded/compaction_removes_a_recorded_swap.patch \
	tests/seeded/control_block_need_not_be_ready.patch \
	tests/seeded/control_record_at_any_offset.patch \
	tests/seeded/counters_are_added_twice.patch \
	tests/seeded/crc_not_checked_below_the_watermark.patch \
	tests/seeded/crcs_are_computed_without_credit.patch \
	tests/seeded/created_name_is_not_synced.patch \
	tests/seeded/credit_is_given_back_to_candidates.patch \
	tests/seeded/cut_ends_at_indexed.patch \
	tests/seeded/cut_is_not_replayed.patch \
	tests/seeded/cut_misses_what_is_killed_early.patch \
	tests/seeded/cut_takes_half_a_batch.patch \
	tests/seeded/damage_is_not_kept_aside.patch \
	tests/seeded/damage_is_skipped_past_the_watermark.patch \
	tests/seeded/damage_past_the_watermark_is_skipped.patch \
	tests/seeded/data_lock_is_not_asked.patch \
	tests/seeded/damage_ends_a_repair.patch \
	tests/seeded/dead_commit_is_not_covered.patch \
	tests/seeded/dead_commit_keeps_its_counters.patch \
	tests/seeded/dead_records_with_values_delete.patch \
	tests/seeded/deadline_is_ignored.patch \
	tests/seeded/delete_without_a_marker.patch \
	tests/seeded/deletes_have_no_reserve.patch \
	tests/seeded/descriptors_are_inherited.patch \
	tests/seeded/descriptors_go_to_programs.patch \
	tests/seeded/directory_before_its_entries.patch \
	tests/seeded/directory_is_given_away.patch \
	tests/seeded/dirty_cleared_before_the_replay.patch \
	tests/seeded/dirty_is_not_told.patch \
	tests/seeded/entry_sequence_stays.patch \
	tests/seeded/expiry_of_any_put_behind.patch \
	tests/seeded/failed_sync_is_tried_again.patch \
	tests/seeded/first_look_is_believed.patch \
	tests/seeded/followers_are_not_woken.patch \
	tests/seeded/followers_trust_their_leader.patch \
	tests/seeded/foreign_kill_gets_no_marker.patch \
	tests/seeded/foreign_order_is_believed.patch \
	tests/seeded/foreign_owner_is_accepted.patch \
	tests/seeded/fork_epoch_is_not_compared.patch \
	tests/seeded/full_mode_promises_a_flush.patch \
	tests/seeded/gate_is_waited_for_without_end.patch \
	tests/seeded/group_bytes_are_not_checked.patch \
	tests/seeded/group_that_is_torn_is_kept_in_part.patch \
	tests/seeded/hard_links_are_accepted.patch \
	tests/seeded/helper_of_another_user_is_taken.patch \
	tests/seeded/helper_with_another_name_is_taken.patch \
	tests/seeded/home_of_the_wrong_bit.patch \
	tests/seeded/homes_of_another_base.patch \
	tests/seeded/homes_past_their_bits.patch \
	tests/seeded/index_of_other_data_is_believed.patch \
	tests/seeded/interval_forgets_at_close.patch \
	tests/seeded/iterator_crosses_fork.patch \
	tests/seeded/kept_head_is_not_checked.patch \
	tests/seeded/kept_index_vouches_before_its_segments.patch \
	tests/seeded/kept_segments_are_not_checked.patch \
	tests/seeded/keys_are_compared_in_part.patch \
	tests/seeded/keys_are_not_compared.patch \
	tests/seeded/kill_without_cause_stays.patch \
	tests/seeded/lengths_into_a_value_are_followed.patch \
	tests/seeded/links_are_followed.patch \
	tests/seeded/list_does_not_look_again.patch \
	tests/seeded/lost_file_is_not_synced.patch \
	tests/seeded/lost_name_is_not_synced.patch \
	tests/seeded/mappings_are_inherited.patch \
	tests/seeded/marker_is_born_live.patch \
	tests/seeded/miss_is_not_confirmed.patch \
	tests/seeded/miss_stands_under_the_lock.patch \
	tests/seeded/names_are_never_looked_at.patch \
	tests/seeded/names_are_not_looked_at_again.patch \
	tests/seeded/no_room_for_a_pad.patch \
	tests/seeded/old_generation_is_read.patch \
	tests/seeded/opening_blocks.patch \
	tests/seeded/overruled_put_is_not_written_again.patch \
	tests/seeded/pad_ends_a_byte_early.patch \
	tests/seeded/pad_is_short.patch \
	tests/seeded/peek_many_ignores_the_odd_number.patch \
	tests/seeded/peek_many_looks_once.patch \
	tests/seeded/poison_does_not_stop_writers.patch \
	tests/seeded/poison_ends_with_the_process.patch \
	tests/seeded/position_of_the_start_of_a_commit.patch \
	tests/seeded/presence_before_ready.patch \
	tests/seeded/private_reader_holds_nothing.patch \
	tests/seeded/private_reader_never_looks.patch \
	tests/seeded/probe_ends_at_a_marker.patch \
	tests/seeded/put_of_a_batch_without_group.patch \
	tests/seeded/puts_eat_the_reserve.patch \
	tests/seeded/quick_look_ends_at_the_first_tag.patch \
	tests/seeded/quick_miss_is_not_confirmed.patch \
	tests/seeded/reader_ends_the_session.patch \
	tests/seeded/record_length_in_32_bits.patch \
	tests/seeded/records_in_values_are_believed.patch \
	tests/seeded/recovered_name_is_not_synced.patch \
	tests/seeded/recovery_forgets_the_poison.patch \
	tests/seeded/recovery_leaves_two_live.patch \
	tests/seeded/recovery_marks_before_it_syncs.patch \
	tests/seeded/release_wakes_nobody.patch \
	tests/seeded/removal_leaves_no_marker.patch \
	tests/seeded/renamed_name_is_not_synced.patch \
	tests/seeded/repair_leaves_no_odd_number.patch \
	tests/seeded/replaced_version_stays_live.patch \
	tests/seeded/replay_does_not_count_again.patch \
	tests/seeded/replay_does_not_kill.patch \
	tests/seeded/replay_forgets_the_expiry.patch \
	tests/seeded/replay_from_the_tail.patch \
	tests/seeded/section_lets_go_of_its_view.patch \
	tests/seeded/segment_is_not_looked_at_again.patch \
	tests/seeded/session_mark_is_not_synced.patch \
	tests/seeded/session_without_mark.patch \
	tests/seeded/sleep_without_an_end.patch \
	tests/seeded/slot_before_the_bytes.patch \
	tests/seeded/slot_before_the_tail.patch \
	tests/seeded/slot_is_not_bounded.patch \
	tests/seeded/slot_is_not_looked_at_again.patch \
	tests/seeded/slow_holder_is_robbed.patch \
	tests/seeded/space_is_not_allocated.patch \
	tests/seeded/space_is_secured_too_late.patch \
	tests/seeded/split_frees_its_segment_first.patch \
	tests/seeded/split_is_complete_too_early.patch \
	tests/seeded/split_is_not_emptied.patch \
	tests/seeded/split_is_repaired_from_its_end.patch \
	tests/seeded/status_bytes_are_believed_after_a_crash.patch \
	tests/seeded/status_is_no_part_of_the_crc.patch \
	tests/seeded/step_length_in_32_bits.patch \
	tests/seeded/superseded_put_stays_live.patch \
	tests/seeded/swallowed_records_are_lost.patch \
	tests/seeded/swap_is_not_rolled_forward.patch \
	tests/seeded/swap_is_not_seen_by_openers.patch \
	tests/seeded/tail_before_the_bytes.patch \
	tests/seeded/tail_is_not_cut.patch \
	tests/seeded/tail_read_after_the_sync.patch \
	tests/seeded/two_compactions_at_once.patch \
	tests/seeded/unsteppable_file_is_written_to.patch \
	tests/seeded/verdict_from_any_file.patch \
	tests/seeded/verdict_on_the_wrong_byte.patch \
	tests/seeded/verdict_without_our_own_lock.patch \
	tests/seeded/view_freed_without_grace.patch \
	tests/seeded/views_do_not_lock_the_data.patch \
	tests/seeded/waiters_are_forgotten.patch \
	tests/seeded/walk_is_not_counted.patch \
	tests/seeded/watermark_beyond_the_file_is_believed.patch \
	tests/seeded/watermark_is_rounded_up.patch \
	tests/seeded/watermark_moves_before_the_sync.patch \
	tests/seeded/watermark_moves_without_a_session.patch

dist_check_SCRIPTS += tests/seeded/check.sh
TESTS += tests/seeded/check.sh
EXTRA_DIST += tests/seeded/run.py $(SEEDED_PATCHES)

.PHONY: seeded
seeded:
	@jobs='$(JOBS)'; CC='$(CC)' $(PYTHON) $(top_srcdir)/tests/seeded/run.py \
		--work seeded.work $${jobs:+-j $$jobs} $(SEEDED)

clean-local:
	rm -rf seeded.work
