//! Text as it is stored, whatever its character set.

use std::sync::Arc;

use arrow_array::StringArray;
use arrow_array::cast::AsArray as _;
use migration_engine::endpoint::rows::{LossClass, Meets, Question, WriteFault};
use migration_engine::error::Kind;
use migration_engine::model::kind::ColumnType;
use migration_engine::model::rows::Rows;

use super::scratch::{Scratch, batch, cell, cells, named, writing};

#[test]
fn text_of_every_character_set_is_read_and_written_exactly() {
    for scratch in Scratch::each() {
        scratch.run(&[
            "CREATE TABLE t (id int PRIMARY KEY, l varchar(20) CHARACTER SET latin1,
             k varchar(20) CHARACTER SET koi8r, u varchar(20) CHARACTER SET ucs2,
             w varchar(20) CHARACTER SET utf8mb3, m varchar(20) CHARACTER SET utf8mb4)",
            "INSERT INTO t VALUES (1, X'80815C27E9', _utf8mb4'Привет', _utf8mb4'né', _utf8mb4'€', '😀')",
        ]);
        let cells = cells(&scratch.table("t"));
        let rows = scratch.read("t", &cells);
        let text = |at: usize| rows.column(at).as_string::<i32>().value(0);
        let all: Vec<_> = (1..6).map(text).collect();
        assert_eq!(all, ["€\u{81}\\'é", "Привет", "né", "€", "😀"]);
        scratch.run(&["CREATE TABLE o LIKE t"]);
        scratch.write(&writing("o", &cells, &["id"], Meets::Insert), std::slice::from_ref(&rows));
        let same = "EXISTS (SELECT 1 FROM t WHERE HEX(t.l) = HEX(o.l) AND HEX(t.k) = HEX(o.k) \
            AND HEX(t.u) = HEX(o.u) AND HEX(t.w) = HEX(o.w) AND HEX(t.m) = HEX(o.m))";
        assert_eq!(scratch.count("o", same), 1);
    }
}

#[test]
fn a_character_that_a_column_has_not_is_refused_and_no_question_mark() {
    for scratch in Scratch::each() {
        scratch.run(&["CREATE TABLE t (l varchar(20) CHARACTER SET latin1, \
            w varchar(20) CHARACTER SET utf8mb3)"]);
        let sink = scratch.sink();
        let job = sink.open_ledger("job").unwrap().job;
        for column in ["l", "w"] {
            let cells = [cell(column, ColumnType::Text(None))];
            let rows = batch(&cells, vec![Arc::new(StringArray::from(vec!["ok", "😀"]))]);
            let mut writer = sink.writer(&job).unwrap();
            writer.begin(&writing("t", &cells, &[], Meets::Insert)).unwrap();
            let fault = writer.write(&Rows::Batch(rows)).unwrap_err();
            let WriteFault::Row(error) = fault else { panic!("{fault:?}") };
            assert_eq!(error.kind(), Kind::RowRefused, "{column}");
        }
        assert_eq!(scratch.count("t", ""), 0);
    }
}

#[test]
fn texts_that_look_like_the_protocol_stay_texts() {
    let odd = [
        "",
        "\\N",
        "NULL",
        "\\",
        "\\\\N",
        "\t",
        "\n",
        "\r\n",
        "\0",
        "'",
        "\"",
        "a\tb\nc\\",
        "\u{1a}",
        " ",
        "a ",
        "é",
        "😀",
        "\\0",
        "%",
        "--",
        "`",
    ];
    for scratch in Scratch::each() {
        scratch.run(&["CREATE TABLE t (v longtext) CHARACTER SET utf8mb4"]);
        let cells = [cell("v", ColumnType::Text(None))];
        let mut values: Vec<Option<&str>> = odd.iter().map(|text| Some(*text)).collect();
        values.push(None);
        let rows = batch(&cells, vec![Arc::new(StringArray::from(values.clone()))]);
        scratch.write(&writing("t", &cells, &[], Meets::Insert), std::slice::from_ref(&rows));
        assert_eq!(scratch.read("t", &cells), rows);
        assert_eq!(scratch.count("t", "v IS NULL"), 1);
        assert_eq!(scratch.count("t", "HEX(v) = ''"), 1);
    }
}

#[test]
fn keys_that_differ_by_case_accents_and_spaces_stay_apart() {
    for scratch in Scratch::each() {
        let sink = scratch.sink();
        scratch.run(&["CREATE TABLE s (k varchar(100) PRIMARY KEY)"]);
        let mut table = scratch.table("s");
        table.name = named("t");
        table.columns[0].kind = ColumnType::Text(None);
        sink.execute(&sink.statements(&table).unwrap().create).unwrap();
        let cells = [cell("k", ColumnType::Text(None))];
        let keys = vec!["a", "A", "á", "a ", "a\t", ""];
        let rows = batch(&cells, vec![Arc::new(StringArray::from(keys))]);
        scratch.write(&writing("t", &cells, &["k"], Meets::Insert), &[rows]);
        assert_eq!(scratch.count("t", ""), 6);
    }
}

#[test]
fn a_census_counts_by_one_scan_and_names_keys() {
    for scratch in Scratch::each() {
        scratch.run(&[
            "CREATE TABLE t (a int, b varchar(9), f tinyint(1), t text, n bigint unsigned, \
             m decimal(10,4), x blob, h time, PRIMARY KEY (a, b)) CHARACTER SET utf8mb4",
            "INSERT INTO t VALUES (1, 'x', 1, 'a\\0b', 18446744073709551615, 12345.6789, X'C328', '25:00:00'), \
             (2, 'y', 2, 'äöü', 1, 1.5, X'C3A4', '-00:00:01'), (3, 'z', -1, NULL, 2, 0, NULL, '23:00:00')",
        ]);
        let ask = |column: &str, class| Question { column: column.to_owned(), class };
        let questions = [
            ask("f", LossClass::NotBoolean),
            ask("t", LossClass::Nul),
            ask("t", LossClass::Longer(2)),
            ask("n", LossClass::IntegerOutside { least: 0, most: i128::from(i64::MAX) }),
            ask("m", LossClass::DecimalOutside { whole: 4, scale: 2 }),
            ask("x", LossClass::NotText),
            ask("h", LossClass::TimeOutside),
            ask("a", LossClass::InfiniteDate),
        ];
        let snapshot = scratch.source().snapshot(1).unwrap();
        let found = snapshot.census(&scratch.table("t"), "", &questions, 1 << 30).unwrap();
        let told: Vec<_> = found.iter().map(|f| (f.rows, f.samples.join(" "))).collect();
        let expected = [
            (2, "2,y 3,z"),
            (1, "1,x"),
            (2, "1,x 2,y"),
            (1, "1,x"),
            (1, "1,x"),
            (1, "1,x"),
            (2, "1,x 2,y"),
            (0, ""),
        ];
        let expected: Vec<_> = expected.iter().map(|(n, s)| (*n, (*s).to_owned())).collect();
        assert_eq!(told, expected);
    }
}
