"""A matrix makes one case for each combination of its values."""

from vmsuite.planning.matrix import axes_of, combinations, suffix


def test_no_matrix_is_one_plain_case() -> None:
    assert list(combinations(None)) == [{}]
    assert suffix({}) == ""


def test_axes_are_combined_in_the_order_they_are_written() -> None:
    made = list(combinations({"cpus": [1, 2], "machine": ["pc", "q35"]}))
    assert made == [
        {"cpus": 1, "machine": "pc"},
        {"cpus": 1, "machine": "q35"},
        {"cpus": 2, "machine": "pc"},
        {"cpus": 2, "machine": "q35"},
    ]
    assert suffix(made[0]) == "[cpus=1,machine=pc]"


def test_exclude_takes_away_what_holds_all_its_values() -> None:
    matrix = {"a": [1, 2], "b": [1, 2], "exclude": [{"a": 1, "b": 2}, {"a": 2}]}
    assert list(combinations(matrix)) == [{"a": 1, "b": 1}]


def test_an_empty_exclude_entry_takes_nothing_away() -> None:
    assert len(list(combinations({"a": [1, 2], "exclude": [{}]}))) == 2


def test_include_adds_combinations_of_its_own() -> None:
    matrix = {"a": [1], "include": [{"a": 9, "extra": True}]}
    assert list(combinations(matrix)) == [{"a": 1}, {"a": 9, "extra": True}]
    assert axes_of(matrix) == {"a", "extra"}


def test_long_values_are_shortened_in_names() -> None:
    assert len(suffix({"a": "x" * 500})) < 60
