//! Dates that no calendar has.

use arrow_array::cast::AsArray as _;
use arrow_array::types::Date32Type;
use arrow_array::{Array as _, RecordBatch};
use migration_engine::endpoint::rows::{LossClass, Misfits, Question};
use migration_engine::error::{Kind, Result};
use migration_engine::model::rows::{Misfit, Range, Rows};

use super::scratch::{Scratch, cells, reading};

fn scratch(on: Scratch) -> Scratch {
    on.run(&[
        "CREATE TABLE t (id int PRIMARY KEY, d date, f tinyint(1))",
        "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'",
        "INSERT INTO t VALUES (1, '2024-02-29', 0), (2, '0000-00-00', 1), (3, '2024-02-31', 1), \
         (4, '2024-00-15', 7), (5, NULL, 1)",
    ]);
    on
}

fn read(scratch: &Scratch, misfit: Misfit) -> Result<(RecordBatch, Misfits)> {
    let mut cells = cells(&scratch.table("t"));
    for cell in &mut cells {
        cell.misfit = misfit;
    }
    let snapshot = scratch.source().snapshot(1).unwrap();
    let mut reader = snapshot.reader().unwrap();
    reader.begin(&reading("t", &cells), &Range::Whole).unwrap();
    let rows = reader.next(false)?;
    let Some(Rows::Batch(batch)) = rows else { panic!("no batch") };
    assert!(reader.next(false).unwrap().is_none());
    Ok((batch, reader.misfits()))
}

#[test]
fn impossible_dates_and_odd_booleans_do_as_their_cells_say() {
    for on in Scratch::each() {
        let scratch = scratch(on);
        assert_eq!(read(&scratch, Misfit::Fail).unwrap_err().kind(), Kind::ValueRefused);
        let (rows, misfits) = read(&scratch, Misfit::Null).unwrap();
        assert_eq!((rows.num_rows(), misfits.changed), (5, 4));
        assert_eq!(rows.column(1).null_count(), 4);
        let (rows, misfits) = read(&scratch, Misfit::Clamp).unwrap();
        assert_eq!(misfits.changed, 4);
        let days = rows.column(1).as_primitive::<Date32Type>();
        assert_eq!((days.value(2), days.value(0)), (19_782, 19_782));
        let (rows, misfits) = read(&scratch, Misfit::Reject).unwrap();
        assert_eq!((rows.num_rows(), misfits.rejected.len()), (2, 3));
        let first = &misfits.rejected[0];
        assert_eq!((first.column.as_str(), first.error.kind()), ("d", Kind::ValueRefused));
        let value = first.row.iter().find(|(name, _)| name == "d").unwrap().1.clone();
        assert_eq!(value.unwrap(), b"0000-00-00");
    }
}

#[test]
fn a_census_finds_them() {
    for on in Scratch::each() {
        let scratch = scratch(on);
        let ask = |class| Question { column: "d".to_owned(), class };
        let outside = LossClass::DateOutside { first: "0001-01-01", end: "10000-01-01" };
        let questions = [ask(LossClass::ImpossibleDate), ask(outside)];
        let snapshot = scratch.source().snapshot(1).unwrap();
        let found = snapshot.census(&scratch.table("t"), "", &questions, 1 << 30).unwrap();
        assert_eq!((found[0].rows, found[0].samples.join(" ")), (3, "2 3 4".to_owned()));
        assert_eq!(found[1].rows, 0);
    }
}
