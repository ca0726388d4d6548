from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmsuite.slugs import LONGEST_SLUG, slugify, unique_slugs


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ('types "Hello World"', "types-hello-world"),
        ("a_b", "a-b"),
        ("a-b", "a-b"),
        ("  --A..B//C  ", "a-b-c"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", "case"),
        ("", "case"),
        ("!?\x00\x1b[31m", "31m"),
        ("键盘 测试", "键盘-测试"),
        ("Größe ÄÖ", "größe-äö"),
        ("Gro\u0308ße", "größe"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("İstanbul", "i\u0307stanbul"),
        ("हिन्दी परीक्षण", "हिन्दी-परीक्षण"),
        ("👩‍💻 works", "works"),
        ("case\ud800x", "case-x"),
        ("x²", "x²"),
    ],
)
def test_a_slug_keeps_letters_and_digits_of_any_script(name: str, slug: str) -> None:
    assert slugify(name) == slug


def test_what_has_no_letter_is_named_as_asked() -> None:
    assert slugify("???", empty="suite") == "suite"


def test_taken_slugs_get_numbers() -> None:
    names = ["a_b", "a-b", "a b", "A/B", "a-b-2", "", "?"]
    assert unique_slugs(names) == [
        "a-b",
        "a-b-2",
        "a-b-3",
        "a-b-4",
        "a-b-2-2",
        "case",
        "case-2",
    ]


def test_long_names_stay_apart_and_fit() -> None:
    names = ["长" * 200 + end for end in ("甲", "乙", "丙")]
    slugs = unique_slugs(names)
    assert len(set(slugs)) == 3
    assert all(len(os.fsencode(slug)) <= LONGEST_SLUG for slug in slugs)
    assert slugs[1] == "长" * 32 + "-2"


def test_ten_thousand_cases_of_one_name_have_ten_thousand_slugs() -> None:
    slugs = unique_slugs(["same name"] * 10_000)
    assert len(set(slugs)) == 10_000
    assert slugs[9_999] == "same-name-10000"


anything = st.text(st.characters(exclude_categories=()), max_size=120)


@given(anything)
def test_any_name_becomes_a_safe_file_name(name: str) -> None:
    slug = slugify(name)
    assert 0 < len(os.fsencode(slug)) <= LONGEST_SLUG
    assert not set(slug) & set("./\\ \0\n")
    assert Path(slug).name == slug
    assert not slug.startswith("-")
    assert not slug.endswith("-")
    assert "--" not in slug
    assert slug == unicodedata.normalize("NFC", slug)
    assert slugify(slug) == slug
    slug.encode()


@given(st.lists(anything | st.sampled_from(["a", "a-2", "a-2-2", ""]), max_size=30))
def test_any_names_have_slugs_of_their_own(names: list[str]) -> None:
    slugs = unique_slugs(names)
    assert len(slugs) == len(set(slugs)) == len(names)
    assert all(len(slug.encode()) <= LONGEST_SLUG for slug in slugs)
