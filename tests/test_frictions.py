"""What first users stumbled over, and the test or the page that keeps each of it mended.

A test that is renamed, or a page that loses its sentence, is found here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What happened -> "file::test" or "page: words of it", one or more.
KEPT: dict[str, tuple[str, ...]] = {
    "exported C and TFLite folders lack the normalisation": (
        "tests/deploy/test_exported_folder_is_enough.py::test_the_readme_gives_the_reports_accuracy",
        "tests/cli/test_first_users.py"
        "::test_the_mean_and_deviation_of_training_stand_in_every_folder",
    ),
    "a teacher that expects another scaling is not noticed": (
        "tests/engine/test_teacher_doubts.py"
        "::test_a_scale_that_scores_far_better_is_named_with_both_numbers",
    ),
    "a guess is said to be as asked": (
        "tests/tasks/test_npz_reader.py::test_a_guess_is_called_a_guess_and_a_wish_is_not",
    ),
    "labels that are text are refused": (
        "tests/tasks/test_npz_reader.py"
        "::test_labels_may_be_names_in_the_order_of_the_alphabet_or_of_class_names",
        "tests/tasks/test_csv_table.py::test_classes_may_be_names",
    ),
    "names of classes are lost by distill, export --trial, NPZ": (
        "tests/contracts/test_student_folder.py::test_labels_and_the_run_travel_with_it",
        "tests/engine/test_distill_run.py::test_student_is_written_with_its_history",
        "tests/cli/test_old_runs.py::test_its_firmware_is_exported_with_labels",
        "tests/tasks/test_npz_reader.py::test_class_names_are_taken_from_the_file",
        "tests/cli/test_first_users.py"
        "::test_names_of_classes_reach_every_folder_that_is_handed_over",
    ),
    "what distill wrote cannot be exported, verified or reported": (
        "tests/contracts/test_student_folder.py::test_a_student_exports_in_every_target",
        "tests/contracts/test_student_folder.py::test_a_student_is_profiled_and_reported",
        "tests/cli/test_first_users.py"
        "::test_what_distill_wrote_names_its_teacher_and_goes_through_every_command",
    ),
    "--format is ignored with --target c": (
        "tests/cli/test_export_firmware.py::test_options_that_do_nothing_are_refused",
        "tests/contracts/test_options_together.py"
        "::test_an_option_alone_or_with_another_is_heard_or_refused",
    ),
    "an export overwrites what is there": (
        "tests/cli/test_export_firmware.py::test_force_replaces_an_export_and_nothing_else",
    ),
    "the latency shown is of another runtime than the C": (
        "tests/report/test_own_c.py::test_both_runtimes_stand_side_by_side_as_estimates",
        "tests/report/test_own_c.py"
        "::test_what_the_emulator_found_takes_the_place_of_estimated_sizes",
        "tests/cli/test_first_users.py"
        "::test_the_report_and_the_card_show_what_ships_beside_what_was_searched_for",
    ),
    "two accuracies stand on one card unexplained": (
        "tests/report/test_model_card.py"
        "::test_the_card_shows_float_and_both_int8_forms_and_which_ships",
        "tests/report/test_model_card.py::test_the_card_of_another_trial_claims_no_test_accuracy",
    ),
    "no completion, no -V": (
        "tests/cli/test_command_line.py::test_a_shell_is_offered_names_and_the_runs_that_lie_here",
        "tests/cli/test_command_line.py::test_the_version_names_what_it_computes_with",
        "tests/cli/test_command_line.py::test_a_shell_completes_commands_and_options",
    ),
    "the listener is undocumented and fails late": (
        "tests/api/test_listening.py::test_what_is_no_listener_is_refused_before_anything_happens",
        "docs/python.md: SilentListener",
        "tests/api/test_listening.py"
        "::test_a_method_that_fails_is_said_once_and_the_rest_is_still_told",
    ),
    "numbers and arrays from Python end in raw exceptions": (
        "tests/api/test_option.py::test_other_values_are_refused_by_name",
        "tests/io/test_stored_arrays.py::test_rows_of_unequal_length_are_refused",
        "tests/cli/test_first_users.py::test_what_python_is_given_wrongly_is_one_line",
    ),
    "one text is read letter by letter": (
        "tests/api/test_option.py"
        "::test_one_value_of_an_option_that_takes_several_is_a_list_of_it_and_not_of_its_letters",
        "tests/cli/test_first_users.py::test_what_python_is_given_wrongly_is_one_line",
    ),
    "several teachers, only in distill": (
        "tests/cli/test_search_options.py::test_several_teachers_label_what_has_no_label",
    ),
    "--teacher-weights for one teacher only": (
        "tests/engine/test_search_config.py"
        "::test_each_of_several_teachers_has_its_weights_and_its_input",
    ),
    "the record of a distillation names no teacher": (
        "tests/engine/test_distill_run.py::test_student_is_written_with_its_history",
        "tests/cli/test_first_users.py"
        "::test_what_distill_wrote_names_its_teacher_and_goes_through_every_command",
    ),
    "a row of measurements that is far off is accepted": (
        "tests/cli/test_command_line.py"
        "::test_an_outlier_is_asked_about_in_a_terminal_and_refused_elsewhere",
        "tests/cli/test_first_users.py"
        "::test_a_row_that_is_far_off_changes_no_file_before_it_was_asked_about",
    ),
    "a CSV file with semicolons is not read": (
        "tests/cost/test_measurement_rows.py"
        "::test_semicolons_separate_cells_and_then_a_comma_is_a_decimal_point",
        "tests/tasks/test_csv_table.py::test_the_same_table_is_read_of_every_form",
    ),
    "names are cut where another command needs them": (
        "tests/contracts/test_commands.py::test_nothing_is_cut_off_in_a_terminal_of_eighty_columns",
        "tests/contracts/test_commands.py"
        "::test_what_another_command_needs_is_one_word_at_eighty_columns",
    ),
    "a board that is written otherwise gets no suggestion": (
        "tests/cli/test_command_line.py::test_a_board_that_is_written_otherwise_is_suggested_first",
    ),
    "JSON has another shape in each command": (
        "tests/contracts/test_commands.py::test_what_is_printed_is_what_the_function_returns",
        "tests/cli/test_command_line.py"
        "::test_with_json_an_error_is_one_json_object_on_standard_output",
    ),
    "nothing is printed for minutes": (
        "tests/cli/test_progress.py"
        "::test_a_long_stage_says_how_far_it_is_and_how_long_it_takes_still",
        "tests/contracts/test_commands.py::test_what_may_take_long_says_how_far_it_is",
    ),
    "a training of one epoch is called full": (
        "tests/engine/test_contest.py"
        "::test_a_shorter_full_training_competes_only_where_it_is_better_or_goes_on",
        "tests/report/test_build_report.py"
        "::test_a_training_says_for_how_many_epochs_and_is_not_called_full",
        "tests/cli/test_first_users.py"
        "::test_the_report_and_the_card_show_what_ships_beside_what_was_searched_for",
    ),
    "a folder of WAV files is answered with a sentence about PNG": (
        "tests/tasks/test_class_folders.py"
        "::test_a_folder_without_pictures_that_are_read_says_what_to_do_with_the_others",
        "tests/cli/test_first_users.py::test_a_folder_of_recordings_is_told_which_task_takes_it",
    ),
}


@pytest.mark.parametrize("friction", KEPT)
def test_what_was_mended_is_kept_by_a_test_or_a_page(friction: str) -> None:
    for place in KEPT[friction]:
        name, _, words = place.partition(": " if place.startswith("docs/") else "::")
        text = (ROOT / name).read_text()
        if place.startswith("docs/"):
            assert words in text, place
        else:
            assert re.search(rf"^def {words}\b", text, flags=re.M), place


def test_there_are_twenty_five() -> None:
    assert len(KEPT) == 25
