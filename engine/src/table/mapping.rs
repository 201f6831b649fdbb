//! What becomes of each table at the target: its name, its columns and as what they travel, and what
//! cannot be carried.

use std::collections::HashSet;

use crate::endpoint::rows::{LossClass, NameRules, Question, Statements, TableSink};
use crate::error::{EngineError, Kind, Result};
use crate::model::catalog::{
    Catalog, Column, DefaultValue, Engine, ForeignKey, Index, Table, TableName,
};
use crate::model::kind::ColumnType;
use crate::model::rows::Cell;
use crate::table::cast::Cast;
use crate::table::choice::{Choices, Mode};
use crate::table::fit::Fit;
use crate::table::mask::Mask;
use crate::table::naming::Namer;
use crate::table::standing;
use crate::table::words;

/// What an expression may need that is not carried.
const SCHEMA: &str = "a function, a type or a collation of its database";
/// Names at the source, each with the one at the target.
type Names = Vec<(String, String)>;

/// What will be done with one table.
#[derive(Clone, Debug)]
pub struct TablePlan {
    /// The table as it is.
    pub source: Table,
    /// The table as it will be: its columns' kinds are what travels.
    pub target: Table,
    /// What is read, in the order of the target's columns that are written.
    pub read: Vec<Cell>,
    /// What is written.
    pub write: Vec<Cell>,
    /// How each of the columns that are read is hidden.
    pub masks: Vec<Option<Mask>>,
    /// What the values of each of those are made to fit, by what the census found.
    pub fits: Vec<Vec<Fit>>,
    /// What each of the columns that are read becomes.
    pub casts: Vec<Option<Cast>>,
    /// The condition on its rows; empty for all.
    pub filter: String,
    /// What the census asks.
    pub questions: Vec<Question>,
    /// What a person should know, about one column or another thing.
    pub notes: Vec<(String, String)>,
    /// Names that were changed: from, to.
    pub renamed: Vec<(String, String)>,
    /// Whether rows travel in the engine's own form.
    pub native: bool,
    /// Whether the table stands at the target before the job.
    pub stands: bool,
    /// What is run at the target.
    pub statements: Statements,
}

/// Both sides, and what was chosen.
pub struct Mapping<'a> {
    /// What there is.
    pub source: &'a Catalog,
    /// Where it goes.
    pub sink: &'a dyn TableSink,
    /// What is there.
    pub there: &'a Catalog,
    /// What was chosen.
    pub choices: &'a Choices,
    /// Columns that travel as text whatever they are: table as it is shown, column.
    pub as_text: &'a HashSet<(String, String)>,
}

impl Mapping<'_> {
    /// The plans of all tables that are wanted, the largest first.
    ///
    /// # Errors
    /// `TableNotFound` where the selection names none; `SchemaMismatch` for columns that a table
    /// does not have, or that the table that stands does not have.
    pub fn plan(&self) -> Result<Vec<TablePlan>> {
        let mut wanted: Vec<&Table> =
            self.source.tables.iter().filter(|table| self.takes(&table.name)).collect();
        if wanted.is_empty() && !self.source.tables.is_empty() {
            return Err(EngineError::new(Kind::TableNotFound, "no table is selected"));
        }
        self.known_names()?;
        wanted.sort_by_key(|table| std::cmp::Reverse((table.bytes, table.rows_estimate)));
        let rules = self.sink.names();
        let mut names = Namer::new(rules);
        let named: Vec<(&Table, TableName)> = wanted
            .iter()
            .map(|table| (*table, self.target_name(&table.name, rules, &mut names)))
            .collect();
        let mut indexes =
            Namer::of_indexes(rules, named.iter().map(|(_, name)| name.name.as_str()));
        named.iter().map(|(table, name)| self.one(table, name, &named, &mut indexes)).collect()
    }

    fn takes(&self, name: &TableName) -> bool {
        self.choices.selection.takes_named(&[&name.shown(), &name.name])
    }

    /// A name in `columns` or `where` that no table has would change nothing, in silence.
    fn known_names(&self) -> Result<()> {
        let choices = self.choices;
        let tables = choices.columns.keys().chain(choices.filters.keys());
        let is_table = |name: &str| self.source.tables.iter().any(|t| t.name.shown() == name);
        let is_column = |name: &str| {
            self.source.tables.iter().any(|table| {
                let column = name.strip_prefix(&format!("{}.", table.name.shown()));
                column.is_some_and(|column| table.column(column).is_some())
            })
        };
        let unknown = tables.clone().find(|name| !is_table(name));
        let unknown = unknown.or_else(|| {
            choices.masks.keys().chain(choices.casts.keys()).find(|name| !is_column(name))
        });
        let either = |name: &&String| !is_table(name) && !is_column(name);
        match unknown.or_else(|| choices.rename.keys().find(either)) {
            None => Ok(()),
            Some(name) => {
                let message = "what the command names is not there";
                Err(EngineError::new(Kind::TableNotFound, message)
                    .at(name.as_str())
                    .hint("check the names in columns, where, rename, mask and cast"))
            }
        }
    }

    /// The columns of a table that go, each with what it is called then; and the names that are
    /// others.
    fn named_columns(&self, table: &Table) -> (Names, Names) {
        let shown = table.name.shown();
        let chosen = self.choices.columns.get(&shown);
        let mut names = Namer::new(self.sink.names().of_parts());
        let (mut named, mut renamed) = (Vec::new(), Vec::new());
        let goes = |column: &&Column| chosen.is_none_or(|chosen| chosen.contains(&column.name));
        for column in table.columns.iter().filter(goes) {
            let wished = self.choices.rename.get(&format!("{shown}.{}", column.name));
            if let Some(wished) = wished {
                renamed.push((column.name.clone(), wished.clone()));
            }
            let name = names.name(wished.unwrap_or(&column.name));
            named.push((column.name.clone(), name));
        }
        renamed.extend(names.renamed);
        (named, renamed)
    }

    fn target_name(&self, name: &TableName, rules: NameRules, names: &mut Namer) -> TableName {
        let chosen = self.choices.rename.get(&name.shown());
        if rules.schemas {
            let whole = Namer::new(rules).name(chosen.unwrap_or(&name.name));
            // A table in the target's own schema says none there.
            let schema = name.schema.clone();
            let schema = if schema == self.there.schema { String::new() } else { schema };
            return TableName { schema, name: whole };
        }
        let flat = match chosen {
            Some(chosen) => chosen.clone(),
            None if name.schema.is_empty() => name.name.clone(),
            None => format!("{}_{}", name.schema, name.name),
        };
        self.spelled(names.name(&flat), rules)
    }

    /// A name, as it is spelled by the table that the target finds by it.
    fn spelled(&self, name: String, rules: NameRules) -> TableName {
        let name = TableName { schema: String::new(), name };
        let stands = |there: &&Table| there.name == name;
        let folded =
            |there: &&Table| rules.folds_tables && there.name.name.eq_ignore_ascii_case(&name.name);
        let tables = &self.there.tables;
        let there = tables.iter().find(stands).or_else(|| tables.iter().find(folded));
        there.map_or_else(|| name.clone(), |there| there.name.clone())
    }

    fn one(
        &self,
        table: &Table,
        name: &TableName,
        named: &[(&Table, TableName)],
        indexes: &mut Namer,
    ) -> Result<TablePlan> {
        let mut made = Making::new(self, table, name);
        made.columns()?;
        made.keys(named, indexes);
        made.unsaid();
        let stands = self.there.tables.iter().find(|there| there.name == *name);
        made.native(stands);
        let Making { mut plan, .. } = made;
        plan.stands = stands.is_some();
        if let (Some(there), Mode::Append | Mode::Merge) = (stands, self.choices.mode) {
            standing::fit(&mut plan, there)?;
        }
        if self.choices.mode == Mode::Merge && plan.target.primary_key.is_none() {
            let message = "a table without a primary key cannot be merged into";
            return Err(EngineError::new(Kind::SchemaMismatch, message).at(table.name.shown()));
        }
        if let (Some(there), Mode::Merge) = (stands, self.choices.mode) {
            standing::same_key(&plan, there)?;
        }
        plan.statements = self.sink.statements(&plan.target)?;
        let left = std::mem::take(&mut plan.statements.left);
        plan.notes.extend(left.into_iter().map(|left| (String::new(), left)));
        Ok(plan)
    }
}

struct Making<'a> {
    mapping: &'a Mapping<'a>,
    table: &'a Table,
    plan: TablePlan,
    /// Source names of columns and what they are called.
    columns: Names,
    /// Whether both sides are of one engine.
    alike: bool,
    /// Whether expressions in that engine's words still hold: they name columns, so every column goes,
    /// by its name and as it is.
    words_hold: bool,
}

impl<'a> Making<'a> {
    fn new(mapping: &'a Mapping<'a>, table: &'a Table, name: &TableName) -> Self {
        let target = Table {
            name: name.clone(),
            comment: table.comment.clone(),
            rows_estimate: table.rows_estimate,
            ..Table::default()
        };
        let filter = mapping.choices.filters.get(&table.name.shown()).cloned();
        let mut renamed = Vec::new();
        if table.name.shown() != name.shown() {
            renamed.push((table.name.shown(), name.shown()));
        }
        let plan = TablePlan {
            source: table.clone(),
            target,
            read: Vec::new(),
            write: Vec::new(),
            masks: Vec::new(),
            fits: Vec::new(),
            casts: Vec::new(),
            // The line's end closes a comment in it.
            filter: filter.map(|filter| format!("{filter}\n")).unwrap_or_default(),
            questions: Vec::new(),
            notes: Vec::new(),
            renamed,
            native: false,
            stands: false,
            statements: Statements::default(),
        };
        let alike = mapping.source.engine == mapping.sink.engine();
        Self { mapping, table, plan, columns: Vec::new(), alike, words_hold: false }
    }

    fn columns(&mut self) -> Result<()> {
        let chosen = self.mapping.choices.columns.get(&self.table.name.shown());
        if let Some(missing) =
            chosen.into_iter().flatten().find(|name| self.table.column(name).is_none())
        {
            let message = format!("the table has no column {missing}");
            return Err(EngineError::new(Kind::SchemaMismatch, message).at(self.table.name.shown()));
        }
        let (columns, renamed) = self.mapping.named_columns(self.table);
        self.plan.renamed.extend(renamed);
        let is_whole = columns.len() == self.table.columns.len();
        let shaped = |own: &String| self.mask(own).is_some() || self.cast(own).is_some();
        let is_shaped = columns.iter().any(|(own, _)| shaped(own));
        self.words_hold = self.alike && is_whole && !is_shaped && self.plan.renamed.is_empty();
        self.columns = columns;
        for column in &self.table.columns {
            match self.renamed(&column.name) {
                Some(name) => self.column(column, name)?,
                None => self.note(&column.name, "is left out: columns does not name it"),
            }
        }
        Ok(())
    }

    fn column(&mut self, column: &Column, name: String) -> Result<()> {
        let mask = self.mask(&column.name);
        let to = self.cast(&column.name);
        let asked = match to {
            Some(kind) => kind.clone(),
            None if mask.is_some() || self.is_text(&column.name) => ColumnType::Text(None),
            None => column.kind.clone(),
        };
        let home = self.mapping.sink.home(&asked);
        if to.is_some() && home.kind.arrow() != asked.arrow() {
            let message = format!("the target has no place for {}", asked.shown());
            return Err(EngineError::new(Kind::Unsupported, message)
                .at(self.table.name.shown())
                .field(format!("cast.{}.{}", self.table.name.shown(), column.name)));
        }
        let (kind, mut losses) = (home.kind.clone(), home.losses);
        if self.alike && kind == column.kind && to.is_none() {
            // One engine holds what it held.
            losses.clear();
        }
        if !home.note.is_empty() {
            self.note(&column.name, home.note);
        }
        let mut made = Column {
            name: name.clone(),
            kind: kind.clone(),
            declared: home.declared,
            ..column.clone()
        };
        self.without_own_words(column, &mut made, mask.is_some() || to.is_some());
        if let Some(kind) = to {
            self.recount(&column.name, &mut made, kind);
        }
        if let Some(mask) = mask {
            made.default = None;
            made.identity = None;
            self.note(&column.name, &format!("is masked: {}", mask.name()));
        }
        let written = made.generated.is_none();
        self.plan.target.columns.push(made);
        if !written {
            return Ok(());
        }
        // What is cast is read as text, and what its new type does not hold is judged by the cast.
        let cast = to.map(|_| Cast {
            kind: kind.clone(),
            bounds: std::mem::take(&mut losses),
            misfits: Default::default(),
        });
        let read = match &kind {
            _ if cast.is_some() => ColumnType::Text(None),
            // Text of a fixed length is padded by other engines alone.
            ColumnType::Char(most)
                if self.alike && self.mapping.source.engine == Engine::Sqlite =>
            {
                ColumnType::Text(Some(*most))
            }
            kind => kind.clone(),
        };
        let kind = if cast.is_some() { kind } else { read.clone() };
        own_losses(self.mapping.source.engine, self.alike, &read, &mut losses);
        let ask = |class| Question { column: column.name.clone(), class };
        self.plan.questions.extend(losses.into_iter().map(ask));
        let cell =
            |name: &str, kind| Cell { name: name.to_owned(), kind, misfit: Default::default() };
        self.plan.read.push(cell(&column.name, read));
        self.plan.write.push(cell(&name, kind));
        self.plan.masks.push(mask.cloned());
        self.plan.fits.push(Vec::new());
        self.plan.casts.push(cast);
        Ok(())
    }

    /// Takes out of a column that is cast what its old type said.
    fn recount(&mut self, name: &str, made: &mut Column, kind: &ColumnType) {
        self.note(name, &format!("is cast to {}", kind.shown()));
        if made.default.take().is_some() {
            self.note(name, "its default is not carried: the column is cast");
        }
        if !matches!(kind, ColumnType::Int(_)) && made.identity.take().is_some() {
            self.note(name, "is not counted up: the column is cast");
        }
    }

    /// Takes out of a column what its engine's words say, where they do not hold.
    fn without_own_words(&mut self, column: &Column, made: &mut Column, is_masked: bool) {
        if let Some(DefaultValue::Expression(text)) = &column.default
            && (!self.alike || is_masked || self.needs_more(text))
        {
            made.default = None;
            self.note(&column.name, &format!("its default is not carried: {text}"));
        }
        if let Some(generated) = made
            .generated
            .take_if(|generated| !self.words_hold || self.needs_more(&generated.expression))
        {
            let text = format!("its values are copied, not made of {}", generated.expression);
            self.note(&column.name, &text);
        }
    }

    fn keys(&mut self, named: &[(&Table, TableName)], indexes: &mut Namer) {
        let has_all = |making: &Self, columns: &[String]| {
            columns.iter().all(|column| making.renamed(column).is_some())
        };
        if let Some(key) = &self.table.primary_key {
            if has_all(self, &key.columns) {
                let columns = self.all_renamed(&key.columns);
                self.plan.target.primary_key =
                    Some(crate::model::catalog::Key { name: key.name.clone(), columns });
            } else {
                self.note("", "its primary key is not carried: a column of it is left out");
            }
        }
        if !self.mapping.choices.indexes {
            return;
        }
        for index in &self.table.indexes {
            self.index(index, indexes);
        }
        for key in &self.table.foreign_keys {
            match self.foreign_key(key, named) {
                Some(key) => self.plan.target.foreign_keys.push(key),
                None => self.note("", &format!("the foreign key {} is not carried", key.name)),
            }
        }
        for check in &self.table.checks {
            if self.words_hold && !self.needs_more(&check.expression) {
                self.plan.target.checks.push(check.clone());
            } else {
                let text = format!("the check {} is not carried: {}", check.name, check.expression);
                self.note("", &text);
            }
        }
    }

    fn index(&mut self, index: &Index, indexes: &mut Namer) {
        let mut made = index.clone();
        let has_all = index
            .columns
            .iter()
            .all(|column| column.name.is_empty() || self.renamed(&column.name).is_some());
        if !self.words_hold {
            made.definition.clear();
        }
        for column in &mut made.columns {
            if let Some(name) = self.renamed(&column.name) {
                column.name = name;
            }
        }
        if !self.alike {
            let table = &self.plan.target.name.name;
            if !index.name.starts_with(table.as_str()) {
                made.name = format!("{table}_{}", index.name);
            }
            made.name = indexes.name(&made.name);
        }
        let needs = self.needs_more(&made.definition);
        if needs {
            let text = format!("the index {} is not carried: it needs {}", index.name, SCHEMA);
            self.note("", &text);
        } else if has_all {
            self.plan.target.indexes.push(made);
        } else {
            self.note("", &format!("the index {} is not carried", index.name));
        }
    }

    /// Whether words of the source's need what is not carried.
    fn needs_more(&self, text: &str) -> bool {
        self.mapping.source.engine == Engine::Postgres && words::needs_more(text)
    }

    /// What the target's engine keeps nowhere, and what a table has no statement for.
    fn unsaid(&mut self) {
        if self.table.partitioned {
            self.note("", "its partitions are not carried: the rows go to one table");
        }
        if !matches!(self.mapping.sink.engine(), Engine::Sqlite | Engine::Files) {
            return;
        }
        let commented = self.table.columns.iter().filter(|column| !column.comment.is_empty());
        let columns: Vec<&str> = commented.map(|column| column.name.as_str()).collect();
        if !self.table.comment.is_empty() {
            self.note("", "its comment is not carried");
        }
        for column in columns {
            self.note(column, "its comment is not carried");
        }
    }

    fn foreign_key(&self, key: &ForeignKey, named: &[(&Table, TableName)]) -> Option<ForeignKey> {
        let (to, name) = named.iter().find(|(table, _)| table.name == key.to)?;
        if key.columns.iter().any(|column| self.renamed(column).is_none()) {
            return None;
        }
        let (there, _) = self.mapping.named_columns(to);
        let find = |column: &String| {
            there.iter().find(|(own, _)| own == column).map(|(_, made)| made.clone())
        };
        let to_columns = key.to_columns.iter().map(find).collect::<Option<Vec<_>>>()?;
        let table = &self.plan.target.name.name;
        let own = if self.alike || key.name.starts_with(table.as_str()) {
            key.name.clone()
        } else {
            format!("{table}_{}", key.name)
        };
        let rules = self.mapping.sink.names().of_parts();
        let own = if self.alike { own } else { Namer::new(rules).name(&own) };
        Some(ForeignKey {
            name: own,
            columns: self.all_renamed(&key.columns),
            to: name.clone(),
            to_columns,
            ..key.clone()
        })
    }

    /// Rows travel as they are where both sides are PostgreSQL and every column is of one type there
    /// and here.
    fn native(&mut self, stands: Option<&Table>) {
        let masked = self.plan.masks.iter().any(Option::is_some);
        let cast = self.plan.casts.iter().any(Option::is_some);
        if !self.alike || masked || cast || self.mapping.source.engine != Engine::Postgres {
            return;
        }
        let kept =
            stands.filter(|_| matches!(self.mapping.choices.mode, Mode::Append | Mode::Merge));
        self.plan.native = self.plan.read.iter().zip(&self.plan.write).all(|(read, write)| {
            let Some(column) = self.table.column(&read.name) else { return false };
            let there = kept.map(|there| there.column(&write.name));
            let same = there
                .is_none_or(|there| there.is_some_and(|there| there.declared == column.declared));
            same && write.kind == column.kind
        });
    }

    fn mask(&self, column: &str) -> Option<&'a Mask> {
        self.mapping.choices.masks.get(&format!("{}.{column}", self.table.name.shown()))
    }

    /// What a column is cast to; its values travel as text where some are none of that type, and the
    /// policy says so.
    fn cast(&self, column: &str) -> Option<&'a ColumnType> {
        let name = format!("{}.{column}", self.table.name.shown());
        self.mapping.choices.casts.get(&name).filter(|_| !self.is_text(column))
    }

    fn is_text(&self, column: &str) -> bool {
        self.mapping.as_text.contains(&(self.table.name.shown(), column.to_owned()))
    }

    fn renamed(&self, column: &str) -> Option<String> {
        self.columns.iter().find(|(own, _)| own == column).map(|(_, made)| made.clone())
    }

    fn all_renamed(&self, columns: &[String]) -> Vec<String> {
        columns.iter().filter_map(|column| self.renamed(column)).collect()
    }

    fn note(&mut self, column: &str, text: &str) {
        self.plan.notes.push((column.to_owned(), text.to_owned()));
    }
}

/// Values that a source's engine lets stand in a column although its type forbids them, and those
/// that travel to no other engine.
fn own_losses(engine: Engine, alike: bool, kind: &ColumnType, losses: &mut Vec<LossClass>) {
    let stamped = matches!(kind, ColumnType::Timestamp | ColumnType::TimestampTz);
    let dated = stamped || *kind == ColumnType::Date;
    match engine {
        Engine::Mysql if dated => losses.push(LossClass::ImpossibleDate),
        Engine::Mysql if *kind == ColumnType::Bool => losses.push(LossClass::NotBoolean),
        // What was no label when it was written is the empty text, with the number 0.
        Engine::Mysql if matches!(kind, ColumnType::Enum(labels) if !labels.contains(&String::new())) =>
        {
            losses.push(LossClass::NotDeclared(kind.clone()));
        }
        Engine::Sqlite if *kind != ColumnType::Any => {
            losses.push(LossClass::NotDeclared(kind.clone()));
        }
        // 64 bits of microseconds end before its calendar does.
        Engine::Postgres
            if stamped
                && !alike
                && !losses.iter().any(|loss| matches!(loss, LossClass::DateOutside { .. })) =>
        {
            losses.push(LossClass::DateOutside { first: "-4714-01-01", end: "294247-01-01" });
        }
        _ => {}
    }
}
