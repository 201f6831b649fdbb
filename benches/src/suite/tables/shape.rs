//! The rows that are copied: their columns in each engine's words, and their content.

use std::io::{self, Write};

use tpchgen::generators::LineItemGenerator;

use super::Engine;

/// Rows of `lineitem` for each unit of the scale factor, no more than.
const LINEITEMS: u64 = 6_000_000;

/// The kinds of columns that are raced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// 64 bits.
    Long,
    /// 32 bits.
    Int,
    /// Digits in all, and after the point.
    Decimal(u8, u8),
    /// Values that are whole eighths: every engine writes them alike.
    Double,
    /// At most so many characters.
    Varchar(u16),
    /// Any text.
    Text,
    /// A day.
    Date,
    /// A day and a time with microseconds.
    Timestamp,
    /// Any bytes.
    Bytes,
}

/// A table.
#[derive(Debug)]
pub struct Shape {
    /// Its name.
    pub table: &'static str,
    /// Name and type of each column.
    pub columns: Vec<(String, Type)>,
    /// The columns of its primary key.
    pub key: &'static str,
    /// Rows.
    pub rows: u64,
}

impl Shape {
    /// The lineitem table of TPC-H.
    #[must_use]
    pub fn narrow(rows: u64) -> Self {
        let money = Type::Decimal(15, 2);
        let columns = [
            ("l_orderkey", Type::Long),
            ("l_partkey", Type::Long),
            ("l_suppkey", Type::Long),
            ("l_linenumber", Type::Int),
            ("l_quantity", money),
            ("l_extendedprice", money),
            ("l_discount", money),
            ("l_tax", money),
            ("l_returnflag", Type::Varchar(1)),
            ("l_linestatus", Type::Varchar(1)),
            ("l_shipdate", Type::Date),
            ("l_commitdate", Type::Date),
            ("l_receiptdate", Type::Date),
            ("l_shipinstruct", Type::Varchar(25)),
            ("l_shipmode", Type::Varchar(10)),
            ("l_comment", Type::Varchar(44)),
        ];
        let columns = columns.map(|(name, kind)| (name.to_owned(), kind)).into();
        Self { table: "lineitem", columns, key: "l_orderkey, l_linenumber", rows }
    }

    /// 41 columns of every kind, about 2 KB a row, with NULL in one of eight where it may be.
    #[must_use]
    pub fn wide(rows: u64) -> Self {
        let mut columns = vec![("id".to_owned(), Type::Long)];
        let groups = [
            ("n", 10, Type::Long),
            ("m", 6, Type::Decimal(18, 4)),
            ("f", 6, Type::Double),
            ("s", 8, Type::Varchar(80)),
            ("t", 4, Type::Timestamp),
            ("d", 3, Type::Date),
            ("body", 2, Type::Text),
            ("raw", 1, Type::Bytes),
        ];
        for (name, count, kind) in groups {
            columns.extend((1..=count).map(|number| (format!("{name}{number}"), kind)));
        }
        Self { table: "wide", columns, key: "id", rows }
    }

    /// The statement that makes the table, without its key.
    #[must_use]
    pub fn create(&self, engine: Engine, table: &str) -> String {
        let key: Vec<_> = self.key.split(", ").collect();
        let columns = self.columns.iter().map(|(name, kind)| {
            let null = if key.contains(&name.as_str()) { " NOT NULL" } else { "" };
            format!("{name} {}{null}", kind.name(engine))
        });
        format!("CREATE TABLE {table} ({})", columns.collect::<Vec<_>>().join(", "))
    }

    /// The same with its key.
    #[must_use]
    pub fn create_keyed(&self, engine: Engine, table: &str) -> String {
        let bare = self.create(engine, table);
        format!("{}, PRIMARY KEY ({}))", bare.trim_end_matches(')'), self.key)
    }

    /// One expression for each column, between commas.
    #[must_use]
    pub fn list(&self, expression: impl Fn(&str, Type) -> String) -> String {
        let columns = self.columns.iter().map(|(name, kind)| expression(name, *kind));
        columns.collect::<Vec<_>>().join(", ")
    }

    /// A query for the number of rows and a sum of the digests of all rows, each taken over its
    /// columns in a text that is the same in every engine.
    #[must_use]
    pub fn digest(&self, engine: Engine) -> String {
        let columns = self.list(|name, kind| format!("coalesce({}, '~')", kind.text(engine, name)));
        let table = self.table;
        match engine {
            Engine::Postgres => format!(
                "SELECT count(*), sum(('x' || substr(md5(concat_ws('|', {columns})), 1, 15))\
                 ::bit(60)::bigint) FROM {table}"
            ),
            _ => format!(
                "SELECT count(*), sum(CAST(conv(substr(md5(concat_ws('|', {columns})), 1, 15), \
                 16, 10) AS UNSIGNED)) FROM {table}"
            ),
        }
    }

    /// Writes the rows in the text form of COPY.
    ///
    /// # Errors
    /// What the system answers.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.table == "wide" {
            return (0..self.rows).try_for_each(|row| self.write_wide(out, row));
        }
        let scale = self.rows.div_ceil(LINEITEMS).max(1) as f64;
        let items = LineItemGenerator::new(scale, 1, 1).iter();
        for item in items.take(usize::try_from(self.rows).unwrap_or(usize::MAX)) {
            let line = item.to_string().replace('|', "\t");
            writeln!(out, "{}", line.trim_end_matches('\t'))?;
        }
        Ok(())
    }

    fn write_wide(&self, out: &mut dyn Write, row: u64) -> io::Result<()> {
        for (index, (_, kind)) in self.columns.iter().enumerate() {
            let random = mixed(row * self.columns.len() as u64 + index as u64);
            match index {
                0 => write!(out, "{row}")?,
                _ if random.is_multiple_of(8) => write!(out, "\t\\N")?,
                _ => write!(out, "\t{}", kind.value(random))?,
            }
        }
        writeln!(out)
    }
}

impl Type {
    /// What it is called.
    fn name(self, engine: Engine) -> String {
        match (self, engine) {
            (Self::Long, Engine::Sqlite) => "INTEGER".to_owned(),
            (Self::Long, _) => "bigint".to_owned(),
            (Self::Int, _) => "integer".to_owned(),
            (Self::Decimal(digits, scale), _) => format!("decimal({digits},{scale})"),
            (Self::Double, _) => "double precision".to_owned(),
            (Self::Varchar(length), _) => format!("varchar({length})"),
            (Self::Text, _) => "text".to_owned(),
            (Self::Date, _) => "date".to_owned(),
            (Self::Timestamp, Engine::Maria) => "datetime(6)".to_owned(),
            (Self::Timestamp, _) => "timestamp".to_owned(),
            (Self::Bytes, Engine::Postgres) => "bytea".to_owned(),
            (Self::Bytes, _) => "blob".to_owned(),
        }
    }

    /// A value of column `name` as the text that is digested.
    fn text(self, engine: Engine, name: &str) -> String {
        let postgres = engine == Engine::Postgres;
        match self {
            Self::Long | Self::Int if postgres => format!("{name}::bigint::text"),
            Self::Long | Self::Int => format!("CAST({name} AS CHAR)"),
            Self::Decimal(digits, scale) => decimal(postgres, name, (digits, scale)),
            Self::Double => decimal(postgres, name, (30, 3)),
            Self::Varchar(_) | Self::Text if postgres => format!("{name}::text"),
            Self::Varchar(_) | Self::Text => name.to_owned(),
            Self::Date if postgres => format!("to_char({name}::date, 'YYYY-MM-DD')"),
            Self::Date => format!("date_format({name}, '%Y-%m-%d')"),
            Self::Timestamp if postgres => {
                format!("to_char({name}::timestamp, 'YYYY-MM-DD HH24:MI:SS.US')")
            }
            Self::Timestamp => format!("date_format({name}, '%Y-%m-%d %H:%i:%s.%f')"),
            Self::Bytes if postgres => format!("encode({name}, 'hex')"),
            Self::Bytes => format!("lower(hex({name}))"),
        }
    }

    /// A value, in the text form of COPY.
    fn value(self, random: u64) -> String {
        let day = |random: u64| {
            format!("{}-{:02}-{:02}", 1971 + random % 60, 1 + random % 12, 1 + random % 28)
        };
        match self {
            Self::Long => (random as i64).to_string(),
            Self::Int => (random as i32).to_string(),
            Self::Decimal(_, scale) => {
                let (whole, part) = (random as i32, random >> 32);
                format!("{whole}.{:0width$}", part % 10_u64.pow(scale.into()), width = scale.into())
            }
            Self::Double => (random as i32 as f64 / 8.0).to_string(),
            Self::Varchar(length) => words(random, usize::from(length) / 2),
            Self::Text => {
                let plain = words(random, 400 + random as usize % 400);
                plain.replacen(' ', "\\n", 3).replacen(' ', "\\t", 3) + "\\\\ ü 漢 🙂"
            }
            Self::Date => day(random),
            Self::Timestamp => {
                let (hour, minute, micros) = (random % 24, random % 60, random % 1_000_000);
                format!("{} {hour:02}:{minute:02}:59.{micros:06}", day(random))
            }
            Self::Bytes => {
                let words = (0..32).map(|word| format!("{:016x}", mixed(random + word)));
                format!("\\\\x{}", words.collect::<String>())
            }
        }
    }
}

fn decimal(postgres: bool, name: &str, (digits, scale): (u8, u8)) -> String {
    match postgres {
        true => format!("{name}::numeric({digits},{scale})::text"),
        false => format!("CAST(CAST({name} AS DECIMAL({digits},{scale})) AS CHAR)"),
    }
}

/// Letters and single spaces, about so many.
fn words(random: u64, length: usize) -> String {
    let mut text = String::with_capacity(length + 16);
    let mut state = random;
    while text.len() < length {
        state = mixed(state);
        let letters =
            (0..2 + state % 8).map(|at| char::from(b'a' + (state >> (at * 5)) as u8 % 26));
        text.extend(letters);
        text.push(' ');
    }
    text.truncate(length);
    text.trim_end().to_owned()
}

/// SplitMix64's mixing of a number.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_every_column() {
        for shape in [Shape::narrow(50), Shape::wide(50)] {
            let mut text = Vec::new();
            shape.write(&mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert_eq!(text.lines().count(), 50);
            for line in text.lines() {
                assert_eq!(line.split('\t').count(), shape.columns.len(), "{line}");
            }
        }
    }

    #[test]
    fn the_key_is_inside_the_parentheses() {
        let made = Shape::wide(1).create_keyed(Engine::Maria, "wide");
        assert!(made.ends_with("raw1 blob, PRIMARY KEY (id))"), "{made}");
    }
}
