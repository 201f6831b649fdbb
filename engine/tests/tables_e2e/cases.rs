//! The table of values: what each engine holds, and what of it every other must show.

use crate::db::Engine;
use Engine::{Maria, Postgres, Sqlite};
use Want::{By, Bytes, Lost, Text};

/// What becomes of a value.
#[derive(Clone, Copy, Debug)]
pub enum Want {
    /// It is there, and this is its text in the target's own words.
    Text(&'static str),
    /// It is there, and these are its bytes.
    Bytes(&'static str),
    /// It is there, and this is what an expression over the column `v` says.
    By(&'static str, &'static str),
    /// The census refuses it by this class.
    Lost(&'static str),
}

/// A value.
pub struct Case {
    /// The engine that has it.
    pub from: Engine,
    /// The name of its table.
    pub name: &'static str,
    /// The type of its column.
    pub declared: &'static str,
    /// The value, in the engine's SQL.
    pub value: &'static str,
    /// Statements that must run before.
    pub before: &'static [&'static str],
    postgres: Want,
    maria: Want,
    sqlite: Want,
}

impl Case {
    pub fn want(&self, target: Engine) -> Want {
        match target {
            Postgres => self.postgres,
            Maria => self.maria,
            Sqlite => self.sqlite,
        }
    }
}

const fn case(
    from: Engine,
    name: &'static str,
    declared: &'static str,
    value: &'static str,
    [postgres, maria, sqlite]: [Want; 3],
) -> Case {
    Case { from, name, declared, value, before: &[], postgres, maria, sqlite }
}

/// A value whose text is the same everywhere.
const fn plain(
    from: Engine,
    name: &'static str,
    declared: &'static str,
    value: &'static str,
    text: &'static str,
) -> Case {
    case(from, name, declared, value, [Text(text), Text(text), Text(text)])
}

/// A value that is lost everywhere.
const fn lost(
    from: Engine,
    name: &'static str,
    declared: &'static str,
    value: &'static str,
    class: &'static str,
) -> Case {
    case(from, name, declared, value, [Lost(class), Lost(class), Lost(class)])
}

const fn needs(mut case: Case, before: &'static [&'static str]) -> Case {
    case.before = before;
    case
}

const WIDE: &str = "123456789012345678901234567890123456789012345678901234567890.12345";

pub const CASES: &[Case] = &[
    // Dates that no calendar has, and the ends of those that one has.
    lost(Maria, "zero_date", "DATE", "'0000-00-00'", "impossible_date"),
    lost(Maria, "zero_day", "DATE", "'2024-01-00'", "impossible_date"),
    lost(Maria, "february", "DATETIME", "'2024-02-31 01:02:03'", "impossible_date"),
    lost(Maria, "zero_moment", "TIMESTAMP", "0", "impossible_date"),
    plain(Maria, "first_day", "DATE", "'0001-01-01'", "0001-01-01"),
    plain(Maria, "last_day", "DATE", "'9999-12-31'", "9999-12-31"),
    plain(
        Maria,
        "micros",
        "DATETIME(6)",
        "'1000-01-01 00:00:00.000001'",
        "1000-01-01 00:00:00.000001",
    ),
    plain(Postgres, "first_day", "date", "'0001-01-01'", "0001-01-01"),
    case(
        Postgres,
        "before_christ",
        "date",
        "'0044-03-15 BC'",
        [Text("0044-03-15 BC"), Lost("date_outside"), Text("-000043-03-15")],
    ),
    case(
        Postgres,
        "forever",
        "date",
        "'infinity'",
        [Text("infinity"), Lost("infinite_date"), Text("infinity")],
    ),
    case(
        Postgres,
        "never",
        "timestamp",
        "'-infinity'",
        [Text("-infinity"), Lost("infinite_date"), Text("-infinity")],
    ),
    case(
        Postgres,
        "last_moment",
        "timestamp",
        "'294276-12-31 23:59:59.999999'",
        [Text("294276-12-31 23:59:59.999999"), Lost("date_outside"), Lost("date_outside")],
    ),
    case(
        Postgres,
        "zoned",
        "timestamptz",
        "'2024-03-31 02:30:00.5+01'",
        [
            Text("2024-03-31 01:30:00.5+00"),
            Text("2024-03-31 01:30:00.500000"),
            By("substr(v, 1, 21)", "2024-03-31 01:30:00.5"),
        ],
    ),
    case(
        Postgres,
        "midnight",
        "time",
        "'24:00:00'",
        [Text("24:00:00"), By("left(v, 8)", "24:00:00"), By("substr(v, 1, 8)", "24:00:00")],
    ),
    plain(Postgres, "time_zoned", "timetz", "'12:00:00.25+05:30'", "12:00:00.25+05:30"),
    case(
        Postgres,
        "interval_parts",
        "interval",
        "'1 year 2 mons -3 days 04:05:06.000007'",
        [
            Text("1 year 2 mons -3 days +04:05:06.000007"),
            Text("P1Y2M-3DT4H5M6.000007S"),
            Text("P1Y2M-3DT4H5M6.000007S"),
        ],
    ),
    case(
        Maria,
        "longest_time",
        "TIME(6)",
        "'838:59:59.999999'",
        [Text("838:59:59.999999"), Text("838:59:59.999999"), Text("838:59:59.999999")],
    ),
    case(
        Maria,
        "negative_time",
        "TIME",
        "'-838:59:59'",
        [Text("-838:59:59"), By("left(v, 10)", "-838:59:59"), By("substr(v, 1, 10)", "-838:59:59")],
    ),
    case(Maria, "year_zero", "YEAR", "0000", [Text("0"), Text("0000"), Text("0")]),
    plain(Maria, "year_last", "YEAR", "2155", "2155"),
    case(
        Maria,
        "stamp",
        "TIMESTAMP(6)",
        "'2038-01-19 03:14:07.999999'",
        [
            Text("2038-01-19 03:14:07.999999+00"),
            Text("2038-01-19 03:14:07.999999"),
            By("substr(v, 1, 26)", "2038-01-19 03:14:07.999999"),
        ],
    ),
    // Integers at the ends of their types.
    case(
        Maria,
        "unsigned_most",
        "BIGINT UNSIGNED",
        "18446744073709551615",
        [Text("18446744073709551615"), Text("18446744073709551615"), Lost("integer_outside")],
    ),
    plain(Maria, "unsigned_int", "INT UNSIGNED", "4294967295", "4294967295"),
    plain(Maria, "big_least", "BIGINT", "-9223372036854775808", "-9223372036854775808"),
    plain(Maria, "tiny", "TINYINT", "-128", "-128"),
    plain(Maria, "medium", "MEDIUMINT UNSIGNED", "16777215", "16777215"),
    lost(Maria, "not_boolean", "TINYINT(1)", "2", "not_boolean"),
    case(Maria, "boolean", "TINYINT(1)", "1", [Text("true"), Text("1"), Text("1")]),
    plain(Postgres, "big_least", "bigint", "-9223372036854775808", "-9223372036854775808"),
    plain(Postgres, "small", "smallint", "-32768", "-32768"),
    case(Postgres, "boolean", "boolean", "false", [Text("false"), Text("0"), Text("0")]),
    plain(Sqlite, "big_least", "INTEGER", "-9223372036854775808", "-9223372036854775808"),
    plain(Sqlite, "big_most", "INTEGER", "9223372036854775807", "9223372036854775807"),
    // Bits.
    case(Maria, "one_bit", "BIT(1)", "b'1'", [Text("1"), By("bin(v)", "1"), Text("1")]),
    case(
        Maria,
        "bits",
        "BIT(64)",
        "x'8000000000000001'",
        [
            Text("1000000000000000000000000000000000000000000000000000000000000001"),
            By("bin(v)", "1000000000000000000000000000000000000000000000000000000000000001"),
            Text("1000000000000000000000000000000000000000000000000000000000000001"),
        ],
    ),
    case(
        Postgres,
        "bits",
        "bit(5)",
        "B'00101'",
        [Text("00101"), By("lpad(bin(v), 5, '0')", "00101"), Text("00101")],
    ),
    plain(
        Postgres,
        "bits_varying",
        "varbit",
        "B'0010100000000000000000001'",
        "0010100000000000000000001",
    ),
    // Numbers.
    case(Maria, "decimal_widest", "DECIMAL(65,5)", WIDE, [Text(WIDE), Text(WIDE), Text(WIDE)]),
    plain(Maria, "decimal_scale", "DECIMAL(10,4)", "-1.1", "-1.1000"),
    plain(Postgres, "numeric_scale", "numeric(10,4)", "1.10", "1.1000"),
    case(Postgres, "numeric_nan", "numeric", "'NaN'", [Text("NaN"), Text("NaN"), Text("NaN")]),
    case(
        Postgres,
        "decimal_nan",
        "numeric(10,2)",
        "'NaN'",
        [Text("NaN"), Lost("not_finite"), Text("NaN")],
    ),
    case(
        Postgres,
        "numeric_wide",
        "numeric",
        "power(10::numeric, 200) + 0.10",
        [
            By("right(v::text, 20)", "000.1000000000000000"),
            By("length(v)", "218"),
            By("length(v)", "218"),
        ],
    ),
    case(Postgres, "double_nan", "float8", "'NaN'", [Text("NaN"), Lost("not_finite"), Text("NaN")]),
    case(
        Postgres,
        "double_infinite",
        "float8",
        "'-Infinity'",
        [Text("-Infinity"), Lost("not_finite"), By("v < -1e308", "1")],
    ),
    case(
        Postgres,
        "double_least",
        "float8",
        "5e-324",
        [Text("5e-324"), By("v > 0 and v < 1e-323", "1"), By("v > 0 and v < 1e-323", "1")],
    ),
    case(
        Postgres,
        "double_sum",
        "float8",
        "0.1::float8 + 0.2::float8",
        [Text("0.30000000000000004"), By("v = 0.1e0 + 0.2e0", "1"), By("v = 0.1 + 0.2", "1")],
    ),
    case(
        Postgres,
        "float_tenth",
        "real",
        "0.1",
        [Text("0.1"), By("v", "0.1"), By("abs(v - 0.100000001490116) < 1e-15", "1")],
    ),
    case(
        Maria,
        "double_greatest",
        "DOUBLE",
        "1.7976931348623157e308",
        [
            Text("1.7976931348623157e+308"),
            By("v = 1.7976931348623157e308", "1"),
            By("v = 1.7976931348623157e308", "1"),
        ],
    ),
    case(
        Maria,
        "float_third",
        "FLOAT",
        "1/3",
        [
            Text("0.33333334"),
            By("v = cast(1/3 as float)", "1"),
            By("abs(v - 0.3333333432674408) < 1e-15", "1"),
        ],
    ),
    plain(Sqlite, "decimal_double", "DECIMAL(10,2)", "19.99", "19.99"),
    lost(Sqlite, "decimal_inexact", "DECIMAL(10,2)", "0.1 + 0.2", "not_declared"),
    case(
        Sqlite,
        "infinite",
        "REAL",
        "9e999",
        [Text("Infinity"), Lost("not_finite"), By("v > 1e308", "1")],
    ),
    case(
        Postgres,
        "money",
        "money",
        "1234.50",
        [Text("$1,234.50"), Text("$1,234.50"), Text("$1,234.50")],
    ),
    // Text.
    plain(Maria, "empty", "VARCHAR(9)", "''", ""),
    plain(Postgres, "empty", "text", "''", ""),
    plain(Sqlite, "empty", "TEXT", "''", ""),
    plain(Maria, "marks", "TEXT", r#"'\\N\t\r\n\'"\\'"#, "\\N\t\r\n'\"\\"),
    plain(Postgres, "marks", "text", r#"E'\\N\t\r\n\'"\\'"#, "\\N\t\r\n'\"\\"),
    plain(Sqlite, "marks", "TEXT", "'\\N\t\r\n''\"\\'", "\\N\t\r\n'\"\\"),
    plain(Maria, "end_of_copy", "TEXT", "'\\\\.\n'", "\\.\n"),
    plain(Maria, "astral", "VARCHAR(9)", "'😀é\u{301}'", "😀é\u{301}"),
    plain(Postgres, "astral", "varchar(9)", "'😀é\u{301}'", "😀é\u{301}"),
    plain(Maria, "latin", "VARCHAR(9) CHARACTER SET latin1", "'é€'", "é€"),
    plain(Maria, "trailing", "VARCHAR(9)", "'a  '", "a  "),
    plain(Postgres, "trailing", "varchar(9)", "'a  '", "a  "),
    case(
        Postgres,
        "padded",
        "char(5)",
        "'ab'",
        [By("v || '|'", "ab|"), Text("ab"), By("rtrim(v)", "ab")],
    ),
    case(Maria, "nul", "VARCHAR(9)", "'a\\0b'", [Lost("nul"), Text("a\0b"), Text("a\0b")]),
    case(
        Sqlite,
        "nul",
        "TEXT",
        "CAST(x'610062' AS TEXT)",
        [Lost("nul"), Text("a\0b"), Text("a\0b")],
    ),
    lost(Sqlite, "broken_text", "TEXT", "CAST(x'61ff' AS TEXT)", "not_declared"),
    // Bytes.
    case(
        Postgres,
        "bytes",
        "bytea",
        r"'\x00ff0a5c27'",
        [Bytes("00ff0a5c27"), Bytes("00ff0a5c27"), Bytes("00ff0a5c27")],
    ),
    case(
        Maria,
        "bytes",
        "VARBINARY(9)",
        "x'00ff0a5c27'",
        [Bytes("00ff0a5c27"), Bytes("00ff0a5c27"), Bytes("00ff0a5c27")],
    ),
    case(
        Maria,
        "bytes_padded",
        "BINARY(4)",
        "x'0100'",
        [Bytes("01000000"), Bytes("01000000"), Bytes("01000000")],
    ),
    case(
        Sqlite,
        "bytes",
        "BLOB",
        "x'00ff0a5c27'",
        [Bytes("00ff0a5c27"), Bytes("00ff0a5c27"), Bytes("00ff0a5c27")],
    ),
    // Words, documents and types of an engine's own.
    case(
        Maria,
        "enum_no_label",
        "ENUM('a','b''c')",
        "''",
        [Lost("not_declared"), Lost("not_declared"), Text("")],
    ),
    plain(Maria, "enum_empty", "ENUM('a','')", "''", ""),
    plain(Maria, "enum_label", "ENUM('z','b''c')", "'b''c'", "b'c"),
    plain(Maria, "set_two", "SET('x','y','z')", "'z,x'", "x,z"),
    plain(
        Maria,
        "json_twice",
        "JSON",
        r#"'{"b": 1, "a": 12345678901234567890.10, "b": 2}'"#,
        r#"{"b": 1, "a": 12345678901234567890.10, "b": 2}"#,
    ),
    plain(
        Postgres,
        "json_twice",
        "json",
        r#"'{"b": 1, "a": 12345678901234567890.10, "b": 2}'"#,
        r#"{"b": 1, "a": 12345678901234567890.10, "b": 2}"#,
    ),
    plain(
        Postgres,
        "jsonb_number",
        "jsonb",
        r#"'{"a":12345678901234567890.10}'"#,
        r#"{"a": 12345678901234567890.10}"#,
    ),
    case(
        Postgres,
        "uuid",
        "uuid",
        "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
        [
            Text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            Text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            Text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ],
    ),
    plain(
        Postgres,
        "array",
        "text[]",
        r#"ARRAY['a', NULL, 'b"c', 'NULL', '']"#,
        r#"{a,NULL,"b\"c","NULL",""}"#,
    ),
    plain(Postgres, "array_bounds", "int[]", "'[0:1]={1,2}'", "[0:1]={1,2}"),
    plain(Postgres, "inet", "inet", "'10.0.0.1/8'", "10.0.0.1/8"),
    plain(Postgres, "range", "int4range", "'(1,5]'", "[2,6)"),
    plain(Postgres, "point", "point", "'(1.5,-2)'", "(1.5,-2)"),
    plain(Postgres, "xml", "xml", "'<a>b</a>'", "<a>b</a>"),
    plain(Postgres, "tsvector", "tsvector", "'a b:2'", "'a' 'b':2"),
    needs(
        plain(Postgres, "mood", "mood_type", "'o''k'", "o'k"),
        &["CREATE TYPE mood_type AS ENUM ('sad', 'o''k')"],
    ),
    needs(
        plain(Postgres, "domain", "small_number", "7", "7"),
        &["CREATE DOMAIN small_number AS integer CHECK (VALUE < 9)"],
    ),
    needs(
        plain(Postgres, "composite", "pair_type", "ROW(1, 'a b')", "(1,\"a b\")"),
        &["CREATE TYPE pair_type AS (a integer, b text)"],
    ),
    // Values that are not of their column's type.
    lost(Sqlite, "text_in_integer", "INTEGER", "'abc'", "not_declared"),
    lost(Sqlite, "real_in_integer", "INTEGER", "1.5", "not_declared"),
    lost(Sqlite, "bytes_in_text", "TEXT", "x'ff00'", "not_declared"),
    lost(Sqlite, "text_in_bytes", "BLOB", "'text'", "not_declared"),
    lost(Sqlite, "millis_in_moment", "DATETIME", "1700000000000", "not_declared"),
    lost(Sqlite, "no_day", "DATE", "'2023-02-29'", "not_declared"),
    lost(Sqlite, "two_in_boolean", "BOOLEAN", "2", "not_declared"),
    plain(Sqlite, "leap_day", "DATE", "'2024-02-29'", "2024-02-29"),
    case(
        Sqlite,
        "untyped_integer",
        "",
        "42",
        [Bytes("693432"), Bytes("693432"), By("typeof(v) || v", "integer42")],
    ),
    case(
        Sqlite,
        "untyped_text",
        "",
        "'42'",
        [Bytes("743432"), Bytes("743432"), By("typeof(v) || v", "text42")],
    ),
];
