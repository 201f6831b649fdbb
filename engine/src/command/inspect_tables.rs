//! What `inspect` does where the location is a database.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::command::{Answer, Planned, Work};
use crate::endpoint;
use crate::error::Result;
use crate::job::Job;
use crate::model::catalog::Table;
use crate::model::location::Location;
use crate::model::selection::Selection;
use crate::progress::add;
use crate::wire;

/// Bytes of the list of tables.
const LIST_BYTES: usize = 16 << 10;

/// Looks at a database: its tables with their columns, keys and sizes.
pub struct InspectTables {
    /// The database.
    pub src: Location,
    /// Which tables.
    pub selection: Selection,
}

impl Work for InspectTables {
    fn run(self: Box<Self>, job: &Job) -> Result<Answer> {
        job.set_subject(self.src.name());
        let source = (endpoint::database(&self.src)?.source)(&self.src, &job.ties)?;
        let catalog = source.catalog()?;
        let tables: Vec<&Table> = catalog.tables.iter().filter(|table| self.takes(table)).collect();
        add(&job.progress.items_total, tables.len() as u64);
        for table in &tables {
            job.done(table.name.shown().as_bytes(), 0, &[]);
        }
        let mut others: BTreeMap<&str, u64> = BTreeMap::new();
        for other in &catalog.others {
            *others.entry(other.what).or_default() += 1;
        }
        let total =
            |of: fn(&Table) -> Option<u64>| tables.iter().filter_map(|t| of(t)).sum::<u64>();
        let data = json!({
            "kind": "database",
            "engine": catalog.engine.name(),
            "version": catalog.version,
            "tables_total": tables.len(),
            "rows_estimate": total(|table| table.rows_estimate),
            "bytes": total(|table| table.bytes),
            "others": others,
            "tables": wire::sample_up_to(tables.iter().map(|table| seen(table)), 1000, LIST_BYTES),
        });
        Ok(Answer { data: Some(data), ..Answer::default() })
    }

    fn plan(self: Box<Self>, _job: &Job) -> Result<Planned> {
        Ok(Planned {
            data: json!({
                "op": "inspect", "method": "catalogue", "why": "reads the catalogue, and no row",
            }),
        })
    }
}

impl InspectTables {
    fn takes(&self, table: &Table) -> bool {
        self.selection.takes_named(&[&table.name.shown(), &table.name.name])
    }
}

fn seen(table: &Table) -> Value {
    let columns = table.columns.iter().map(|column| {
        let mut told = json!({ "name": column.name, "type": column.declared });
        if !column.nullable {
            told["not_null"] = true.into();
        }
        if column.identity.is_some() {
            told["identity"] = true.into();
        }
        if let Some(generated) = &column.generated {
            told["generated"] = generated.expression.as_str().into();
        }
        told
    });
    let names = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect::<Vec<_>>();
    json!({
        "table": table.name.shown(),
        "columns": columns.collect::<Vec<_>>(),
        "primary_key": table.primary_key.as_ref().map(|key| &key.columns),
        "indexes": names(table.indexes.iter().map(|index| index.name.as_str()).collect()),
        "foreign_keys": names(table.foreign_keys.iter().map(|key| key.name.as_str()).collect()),
        "checks": names(table.checks.iter().map(|check| check.name.as_str()).collect()),
        "rows_estimate": table.rows_estimate,
        "bytes": table.bytes,
        "partitioned": table.partitioned,
        "comment": table.comment,
    })
}
