"""Parts of the tables' fallback that are tested with values alone."""

import math
from typing import Any, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration_engine.fallback.faults import Fault
from migration_engine.fallback.tables import ddl, forms, span, values
from migration_engine.fallback.tables.blake3 import blake3_hex
from migration_engine.fallback.tables.kinds import Kind, declared_as, kind_of
from migration_engine.fallback.tables.naming import Namer
from migration_engine.fallback.tables.standing import held
from migration_engine.fallback.tables.values import NotText, taker
from migration_engine.fallback.tables.xxh3 import xxh3_128

I64 = st.integers(-(1 << 63), (1 << 63) - 1)


# What the reference implementations say of the bytes (131 n mod 251) and (n mod 251).
@pytest.mark.parametrize(
    ("length", "digest"),
    [
        (0, "99aa06d3014798d86001c324468d497f"),
        (1, "a6cd5e9392000f6ac44bdff4074eecdb"),
        (6, "56b68d4335cdbbba0099f824559cae22"),
        (12, "14e8189de4382d48f0e74bfc80d240af"),
        (31, "430d2a81ee67d69948b527b1be608b4f"),
        (77, "ac6d4041da8eb3cd44336af4240a235b"),
        (129, "494edab225dff56e189d01656e6adaee"),
        (200, "09379a0a68989d60f8ce3269bf0d5541"),
        (240, "79eeb64cc139b65a64acbec064796cc2"),
        (241, "8c10a157d96fb846179ead905bf75a05"),
        (1024, "b42ec12dd784ee7089afebe614a926d7"),
        (2367, "f49a2b3d5e1c00ec3eb4e346ca9a3865"),
    ],
)
def test_xxh3(length: int, digest: str) -> None:
    assert "%032x" % xxh3_128(bytes(at * 131 % 251 for at in range(length))) == digest


@pytest.mark.parametrize(
    ("length", "digest"),
    [
        (0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
        (1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"),
        (64, "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98"),
        (65, "de1e5fa0be70df6d2be8fffd0e99ceaa8eb6e8c93a63f2d8d1c30ecb6b263dee"),
        (1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"),
        (1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"),
        (5000, "ee78d92070de3df1c57c37002abf0a6b1a6589acdeef4d8ffac7cf3d9e8f2836"),
    ],
)
def test_blake3(length: int, digest: str) -> None:
    assert blake3_hex(bytes(at % 251 for at in range(length))) == digest


@given(st.integers(-(1 << 31), (1 << 31) - 1))
def test_days_come_back(number: int) -> None:
    assert forms.read_date(forms.write_date(number)) == number


@given(I64)
def test_moments_and_spans_of_time_come_back(micros: int) -> None:
    assert forms.read_moment(forms.write_moment(micros, ""), zoned=False) == micros
    assert forms.read_moment(forms.write_moment(micros, "+00:00"), zoned=True) == micros
    assert forms.read_duration(forms.write_time(micros)) == micros


@given(st.text("-+0123456789:. TZinfty") | st.text())
def test_any_text_is_read_or_not(text: str) -> None:
    for read in (forms.read_date, forms.read_time, forms.read_duration, forms.read_uuid):
        read(text)
    for zoned in (False, True):
        forms.read_moment(text, zoned)
    ddl.parts(text)
    ddl.predicate(text)
    kind_of(text)


def test_texts_are_those_of_iso_8601() -> None:
    shown = {
        0: "1970-01-01",
        -719_468: "0000-03-01",
        2_932_897: "+010000-01-01",
        19_782: "2024-02-29",
        (1 << 31) - 1: "infinity",
    }
    assert {number: forms.write_date(number) for number in shown} == shown
    assert forms.write_moment(-1, "") == "1969-12-31 23:59:59.999999"
    assert forms.write_time(-3_020_399_500_000) == "-838:59:59.5"
    assert forms.read_moment("2024-01-01T01:00+01", True) == forms.read_moment("2024-01-01", False)
    for text in ("2023-02-29", "0000-00-00", "2024-13-01", "24-01-01", ""):
        assert forms.read_date(text) is None
    for text in ("2024-01-01 25:00", "2024-01-01 10:00Z", "2024-01-01 ", "2024-01-01 10:00:60"):
        assert forms.read_moment(text, False) is None


KINDS = [
    *(Kind(word, bits) for word in ("int", "uint") for bits in (8, 16, 24, 32, 64)),
    *map(Kind, ("bool", "float32", "float64", "decimal", "text", "bytes", "varbits", "date")),
    *map(Kind, ("time", "time_tz", "duration", "timestamp", "timestamp_tz", "interval")),
    *map(Kind, ("uuid", "json", "json_parsed", "year", "any")),
    Kind("decimal", 10, 2), Kind("decimal", 5, -3), Kind("text", 20), Kind("char", 3),
    Kind("bytes", 9), Kind("fixed_bytes", 16), Kind("bits", 8), Kind("varbits", 70),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.shown))
def test_a_kind_is_read_back_from_its_declaration(kind: Kind) -> None:
    assert kind_of(declared_as(kind)) == kind


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ("integer", Kind("int", 64)), ("UNSIGNED  BIG INT", Kind("int", 64)),
        ("tinyint(1)", Kind("int", 64)), ("varchar ( 255 )", Kind("text", 255)),
        ("NATIVE CHARACTER(70)", Kind("text", 70)), ("double precision", Kind("float64")),
        ("decimal(10, 5)", Kind("decimal", 10, 5)), ("numeric(3)", Kind("decimal", 3, 0)),
        ("STRING", Kind("decimal")), ("FLOATING POINT", Kind("int", 64)),
        ("datetime", Kind("timestamp")), ("", Kind("any")), ("numeric(1_0)", Kind("decimal")),
    ],
)  # fmt: skip
def test_words_of_others_mean_what_they_mean_to_sqlite(declared: str, kind: Kind) -> None:
    assert kind_of(declared) == kind


def bound(kind: Kind, value: Any) -> Any:
    taken = taker(kind)(value)
    return None if taken is None else taken.bound


@pytest.mark.parametrize(
    ("value", "size", "wanted"),
    [
        (19.99, (10, 2), "19.99"), (19.9, (10, 2), "19.90"), (5, (10, 2), "5.00"),
        (5, None, "5"), (-0.0, None, "0"), (0.1 + 0.2, (10, 2), None), (1e20, (10, 0), None),
        (1e20, None, "100000000000000000000"), ("1.100", (10, 2), "1.10"),
        ("-7.00", (10, 0), "-7"), ("1.10", None, "1.10"), ("NaN", (10, 2), "NaN"),
        ("Infinity", (10, 2), None), ("Infinity", None, "Infinity"), ("1e5", None, None),
        ("12000", (2, -3), "12000"), (1e-7, None, "0.0000001"),
    ],
)  # fmt: skip
def test_decimals_have_the_digits_of_their_scale(
    value: Any, size: Optional[Tuple[int, int]], wanted: Optional[str]
) -> None:
    assert bound(Kind("decimal", *(size or ())), value) == wanted


def test_values_are_of_their_kind_or_refused() -> None:
    for kind, value, wanted in [
        (Kind("int", 16), 32767, 32767), (Kind("int", 16), 32768, None),
        (Kind("int", 8), "1", None),
        (Kind("bool"), 1, 1), (Kind("bool"), 2, None), (Kind("uint", 32), -1, None),
        (Kind("float64"), 1, 1.0), (Kind("float64"), (1 << 53) + 1, None),
        (Kind("float64"), "-zero", "-zero"), (Kind("float64"), "NaN", "NaN"),
        (Kind("float32"), 0.1, None), (Kind("float32"), 0.5, 0.5), (Kind("float32"), 1e300, None),
        (Kind("text", 2), "éé", "éé"), (Kind("text", 2), "abc", None), (Kind("text"), 1e16, "1e16"),
        (Kind("text"), 1e-5, "1e-5"), (Kind("text"), math.inf, None), (Kind("text"), b"a", None),
        (Kind("text"), NotText(b"\xff"), None), (Kind("any"), NotText(b"\xff"), None),
        (Kind("bytes", 1), b"ab", None), (Kind("fixed_bytes", 2), b"ab", b"ab"),
        (Kind("bits", 2), "01", "01"), (Kind("bits", 2), "0", None), (Kind("varbits"), "2", None),
        (Kind("year"), 10_000, None),
        (Kind("uuid"), bytes(16), "00000000-0000-0000-0000-" + "0" * 12),
        (Kind("time"), "24:00:01", None), (Kind("timestamp_tz"), "2024-01-01", None),
    ]:  # fmt: skip
        assert bound(kind, value) == wanted, (kind, value)


@given(st.one_of(I64, st.floats(allow_nan=False), st.text(), st.binary()))
def test_ends_of_ranges_come_back(value: Any) -> None:
    text = span.end_text(value)
    assert text is not None
    again = span.end_value(text)
    assert type(again) is type(value) and repr(again) == repr(value)


def test_an_end_that_is_none_is_refused() -> None:
    for text in ("", "r0", "xz", "1.5"):
        with pytest.raises(Fault) as fault:
            span.end_value(text)
        assert fault.value.code == "UNSUPPORTED"


@pytest.mark.parametrize("text", ["{}", ' [1e400, -0.5, "\\u0041"] ', "1" * 5000, "null"])
def test_what_json_is(text: str) -> None:
    assert values.is_declared(Kind("json"), text, taker(Kind("json")))


@pytest.mark.parametrize("text", ["", "NaN", "{'a':1}", "[1,]", "01", "\ufeff1", "1 2"])
def test_what_json_is_not(text: str) -> None:
    assert not values.is_declared(Kind("json"), text, taker(Kind("json")))


def test_checks_and_generated_columns_are_found() -> None:
    sql = (
        'CREATE TABLE "t (" (a INTEGER CHECK (a > (1)), "b,c" TEXT DEFAULT (\')\') '
        'CONSTRAINT "odd ""name" CHECK("b,c" <> \'x, CHECK (y)\'), '
        "d AS (a * 2) STORED, [e] INT GENERATED ALWAYS AS (a || ')' /* ( */), "
        "CONSTRAINT k CHECK (a < d), FOREIGN KEY (a) REFERENCES u(x), CHECK (1)) STRICT"
    )
    found = ddl.parts(sql)
    checks = [
        ("", "a > (1)"),
        ('odd "name', "\"b,c\" <> 'x, CHECK (y)'"),
        ("k", "a < d"),
        ("", "1"),
    ]
    assert found.checks == checks
    assert found.generated == [("d", "a * 2"), ("e", "a || ')'")]
    where = "CREATE INDEX \"where\" ON t (a, (b WHERE)) where a > 1 AND b = ' WHERE '"
    assert ddl.predicate(where) == "a > 1 AND b = ' WHERE '"


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        ("float64", 1.0, b"1"),
        ("float64", 1e20, b"100000000000000000000"),
        ("float64", "-zero", b"-0"),
        ("float32", 0.10000000149011612, b"0.1"),
        ("timestamp_tz", "2024-01-01 10:00:00+00:00", b"2024-01-01 10:00:00Z"),
        ("timestamp_tz", "infinity", b"infinity"),
        ("bool", 1, b"true"),
        ("int", 7, b"7"),
        ("any", 7, b"i7"),
    ],
)
def test_values_are_told_as_people_write_them(kind: str, value: Any, wanted: bytes) -> None:
    assert values.travelling(Kind(kind), value) == wanted


def test_names_that_differ_by_case_stay_apart() -> None:
    names = Namer()
    assert names.name("Name") == "Name"
    made = names.name("NAME")
    assert made.startswith("NAME_") and len(made) == 13 and names.renamed == [("NAME", made)]


@pytest.mark.parametrize(
    ("kind", "there", "wanted"),
    [
        (Kind("int", 32), Kind("int", 64), []),
        (Kind("int", 64), Kind("int", 8), [("integer_outside", (-128, 127))]),
        (Kind("int", 64), Kind("decimal", 5, 2), [("integer_outside", (-999, 999))]),
        (Kind("decimal", 10, 4), Kind("decimal", 10, 2), [("decimal_outside", (8, 2))]),
        (Kind("decimal", 10, 2), Kind("decimal", 12, 4), []),
        (Kind("text"), Kind("text", 9), [("longer", (0, 9))]),
        (Kind("fixed_bytes", 4), Kind("bytes"), []),
        (Kind("int", 64), Kind("any"), []),
        (Kind("text", 3), Kind("char", 3), None),
        (Kind("int", 64), Kind("float64"), None),
        (Kind("float32"), Kind("float64"), None),
        (Kind("text"), Kind("int", 64), None),
    ],
)
def test_columns_that_stand_hold_what_comes_or_ask(kind: Kind, there: Kind, wanted: Any) -> None:
    assert held(kind, there) == wanted
