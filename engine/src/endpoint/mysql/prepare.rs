//! What must be changed about a table before it can be made here: text in keys gets a length, wide
//! rows shorter columns, and what there are no words for is left.

use std::collections::HashMap;

use crate::endpoint::sql::dialect::Dialect as _;
use crate::error::Result;
use crate::model::catalog::{Action, Index, Table};
use crate::model::kind::ColumnType;

use super::dialect::Mysql;
use super::home::home;
use super::keys::definition;

/// Bytes of an index of InnoDB.
const INDEX_BYTES_MAX: u64 = 3072;
/// Bytes of a row that its columns may take in all, with room for what is not counted.
const ROW_BYTES_MAX: u64 = 60_000;
/// Characters of long text that an index looks at, where it need not hold each value once.
const PREFIX: u32 = 191;

/// The table as it can be made, and what is left.
///
/// # Errors
/// `NameRefused`.
pub(super) fn prepare(dialect: &Mysql, table: &Table) -> Result<(Table, Vec<String>)> {
    let (mut made, mut left) = (table.clone(), Vec::new());
    counted(&mut made, &mut left);
    bound_keys(dialect, &mut made);
    narrow(dialect, &mut made);
    for index in &mut made.indexes {
        own_index(dialect, table, index)?;
    }
    made.foreign_keys.retain_mut(|key| {
        if key.deferred {
            left.push(format!("foreign key {}: it is looked at with each statement", key.name));
            key.deferred = false;
        }
        let defaults = [key.on_update, key.on_delete].contains(&Action::SetDefault);
        if defaults {
            left.push(format!("foreign key {}: SET DEFAULT is not known here", key.name));
        }
        !defaults
    });
    Ok((made, left))
}

/// One column at most is counted up, and only one that begins the primary key.
fn counted(table: &mut Table, left: &mut Vec<String>) {
    let first = table.primary_key.as_ref().and_then(|key| key.columns.first().cloned());
    for column in &mut table.columns {
        if column.generated.is_some() {
            column.nullable = true;
        }
        if column.identity.is_some() && first.as_ref() != Some(&column.name) {
            left.push(format!("identity of {}: it does not begin the primary key", column.name));
            column.identity = None;
        }
    }
}

/// Bytes of a column in a row or an index; `None` for what lies elsewhere and has no length.
fn bytes(dialect: &Mysql, kind: &ColumnType) -> Option<u64> {
    let declared = dialect.declared(kind);
    let (base, rest) = declared.split_once('(').unwrap_or((&declared, ""));
    let length = rest.split([')', ',']).next().and_then(|length| length.parse::<u64>().ok());
    match base {
        "varchar" | "char" => length.map(|length| length * 4 + 2),
        "varbinary" | "binary" => length.map(|length| length + 2),
        "longtext" | "longblob" | "json" => None,
        "decimal" => Some(32),
        _ => Some(16),
    }
}

/// Columns of keys get lengths that an index can hold.
fn bound_keys(dialect: &Mysql, table: &mut Table) {
    let mut keys: Vec<Vec<String>> = Vec::new();
    keys.extend(table.primary_key.iter().map(|key| key.columns.clone()));
    keys.extend(table.foreign_keys.iter().map(|key| key.columns.clone()));
    let whole = |index: &&Index| index.unique && index.columns.iter().all(|c| c.prefix.is_none());
    for index in table.indexes.iter().filter(whole) {
        keys.push(index.columns.iter().map(|column| column.name.clone()).collect());
    }
    let mut bounds: HashMap<String, u64> = HashMap::new();
    for key in keys {
        let kinds = key.iter().filter_map(|name| table.column(name));
        let sizes: Vec<_> = kinds.map(|c| (c.name.clone(), bytes(dialect, &c.kind))).collect();
        let fixed: u64 = sizes.iter().filter_map(|(_, size)| *size).sum();
        let open = sizes.iter().filter(|(_, size)| size.is_none()).count() as u64;
        if open == 0 {
            continue;
        }
        let share = INDEX_BYTES_MAX.saturating_sub(fixed) / open;
        for (name, _) in sizes.into_iter().filter(|(_, size)| size.is_none()) {
            let bound = bounds.entry(name).or_insert(share);
            *bound = share.min(*bound);
        }
    }
    for column in &mut table.columns {
        let Some(bound) = bounds.get(&column.name) else { continue };
        column.kind = match home(dialect, &column.kind).kind {
            ColumnType::Bytes(_) | ColumnType::FixedBytes(_) | ColumnType::Any => {
                ColumnType::Bytes(Some(*bound))
            }
            _ => ColumnType::Text(Some(bound / 4)),
        };
    }
}

/// Columns outside of keys are kept elsewhere until a row fits.
fn narrow(dialect: &Mysql, table: &mut Table) {
    let keyed = |table: &Table, name: &String| {
        table.primary_key.iter().any(|key| key.columns.contains(name))
            || table.foreign_keys.iter().any(|key| key.columns.contains(name))
            || table.indexes.iter().any(|index| index.columns.iter().any(|c| c.name == *name))
    };
    loop {
        let size = |kind: &ColumnType| bytes(dialect, kind).unwrap_or(12);
        let total: u64 = table.columns.iter().map(|column| size(&column.kind)).sum();
        if total <= ROW_BYTES_MAX {
            return;
        }
        let long = |kind: &ColumnType| {
            matches!(kind, ColumnType::Text(Some(_)) | ColumnType::Bytes(Some(_)))
        };
        let widest = (0..table.columns.len())
            .filter_map(|at| table.columns.get(at).map(|column| (at, column)))
            .filter(|(_, column)| long(&column.kind) && !keyed(table, &column.name))
            .max_by_key(|(_, column)| size(&column.kind))
            .map(|(at, _)| at);
        let Some(column) = widest.and_then(|at| table.columns.get_mut(at)) else { return };
        column.kind = match column.kind {
            ColumnType::Bytes(_) => ColumnType::Bytes(None),
            _ => ColumnType::Text(None),
        };
    }
}

/// Gives an index that has prefixes, or must have them, its own statement.
fn own_index(dialect: &Mysql, table: &Table, index: &mut Index) -> Result<()> {
    let plain = index.predicate.is_empty() && !index.nulls_not_distinct;
    let named = index.columns.iter().all(|column| !column.name.is_empty());
    let known = matches!(index.method.as_str(), "" | "FULLTEXT" | "SPATIAL" | "HASH");
    if !plain || !named || !known {
        return Ok(());
    }
    if !index.unique && index.method.is_empty() {
        for column in &mut index.columns {
            let kind = table.column(&column.name).map(|column| &column.kind);
            let open = kind.is_some_and(|kind| {
                bytes(dialect, kind).is_none_or(|bytes| bytes > INDEX_BYTES_MAX)
            });
            if open && column.prefix.is_none() {
                column.prefix = Some(PREFIX);
            }
        }
    }
    index.definition = definition(&table.name, index)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalog::{Column, IndexColumn, Key};

    fn column(name: &str, kind: ColumnType) -> Column {
        Column {
            name: name.to_owned(),
            kind,
            declared: String::new(),
            nullable: true,
            default: None,
            identity: None,
            generated: None,
            comment: String::new(),
        }
    }

    #[test]
    fn keys_have_lengths_and_rows_fit() {
        let mut table = Table::default();
        table.columns.push(column("a", ColumnType::Text(None)));
        table.columns.push(column("b", ColumnType::Int(64)));
        table.columns.push(column("c", ColumnType::Text(Some(16_000))));
        table.columns.push(column("d", ColumnType::Text(None)));
        table.primary_key =
            Some(Key { name: String::new(), columns: vec!["a".to_owned(), "b".to_owned()] });
        let of = IndexColumn { name: "d".to_owned(), ..IndexColumn::default() };
        let name = "i".to_owned();
        table.indexes.push(Index { name, columns: vec![of], ..Index::default() });
        table.name.name = "t".to_owned();
        let (made, left) = prepare(&Mysql { maria: true, uuid: true }, &table).unwrap();
        let kind = |at: usize| made.columns[at].kind.clone();
        assert_eq!(kind(0), ColumnType::Text(Some((3072 - 16) / 4)));
        assert_eq!((kind(2), kind(3)), (ColumnType::Text(None), ColumnType::Text(None)));
        assert_eq!(made.indexes[0].definition, "CREATE INDEX `i` ON `t` (`d`(191))");
        assert!(left.is_empty());
    }
}
