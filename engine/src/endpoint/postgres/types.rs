//! Types of a server, and what their values are in the engine's own words.

use std::collections::HashMap;

use crate::endpoint::postgres::error::Done;
use crate::endpoint::postgres::row::Row;
use crate::endpoint::postgres::session::Session;
use crate::model::kind::ColumnType;

/// Types below this came with the server: their numbers are the same everywhere.
const FIRST_USER_OID: u32 = 16_384;
/// Domains within domains at most.
const DOMAINS_MAX: usize = 64;
/// Types that name things of one database by their numbers, the arrays of them too (`pg_type.dat`):
/// `reg…`, and the amount of money, whose meaning depends on the server's locale.
const LOCAL: [u32; 26] = [
    24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191, 790, 1008, 2207, 2208, 2209,
    2210, 2211, 3735, 3770, 4090, 4097, 4192, 791, 2277, 2249,
];

/// A type as it is below all domains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Base {
    /// Its number.
    pub(super) oid: u32,
    /// Its modifier; -1 for none.
    pub(super) modifier: i32,
    /// As the server writes it, with its modifier.
    pub(super) shown: String,
    /// `b` for base, `e` for enum, `c`, `r`, `m`, `p`.
    pub(super) class: String,
    /// The number of its elements' type; 0 for none.
    pub(super) element: u32,
    /// Whether it has a binary form.
    pub(super) sends: bool,
    /// The labels of an enum.
    pub(super) labels: Vec<String>,
}

/// Domains and enums of a database, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Types(HashMap<u32, Named>);

#[derive(Debug)]
struct Named {
    /// What a domain is of; `None` for an enum.
    base: Option<Base>,
    labels: Vec<String>,
}

const TYPES: &str = "SELECT t.oid, t.typtype, t.typbasetype, t.typtypmod, \
    pg_catalog.format_type(t.typbasetype, t.typtypmod), b.typtype, b.typelem, \
    b.typsend::oid <> 0, (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder)::text \
    FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid) \
    FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype \
    WHERE t.typtype IN ('d', 'e')";

impl Types {
    /// Reads those of a database.
    pub(super) fn read(session: &mut Session) -> Done<Self> {
        let named = |row: &Row| {
            let base = (row.get(1) == Some("d")).then(|| base(row, 2));
            Some((row.number(0)?, Named { base, labels: row.list(8) }))
        };
        Ok(Self(session.query(TYPES)?.iter().filter_map(named).collect()))
    }

    /// A type below all its domains.
    pub(super) fn below(&self, mut base: Base) -> Base {
        for _ in 0..DOMAINS_MAX {
            match self.0.get(&base.oid) {
                Some(Named { base: Some(below), .. }) => {
                    let modifier =
                        if below.modifier == -1 { base.modifier } else { below.modifier };
                    base = Base { modifier, ..below.clone() };
                }
                Some(named) => {
                    base.labels.clone_from(&named.labels);
                    return base;
                }
                None => return base,
            }
        }
        base
    }
}

/// A type told by six values of a row: number, modifier, as shown, class, element, sends.
pub(super) fn base(row: &Row, at: usize) -> Base {
    Base {
        oid: row.number(at).unwrap_or(0),
        modifier: row.number(at + 1).unwrap_or(-1),
        shown: row.text(at + 2),
        class: row.text(at + 3),
        element: row.number(at + 4).unwrap_or(0),
        sends: row.is(at + 5),
        labels: Vec::new(),
    }
}

impl Base {
    /// What its values are.
    pub(super) fn kind(&self) -> ColumnType {
        let length = |off: i32| u64::try_from(self.modifier - off).ok().filter(|n| *n > 0);
        match self.oid {
            16 => ColumnType::Bool,
            17 => ColumnType::Bytes(None),
            19 => ColumnType::Text(Some(63)),
            20 => ColumnType::Int(64),
            21 => ColumnType::Int(16),
            23 => ColumnType::Int(32),
            25 => ColumnType::Text(None),
            114 => ColumnType::Json,
            700 => ColumnType::Float32,
            701 => ColumnType::Float64,
            1042 => length(4).map_or(ColumnType::Text(None), ColumnType::Char),
            1043 => ColumnType::Text(length(4)),
            1082 => ColumnType::Date,
            1083 => ColumnType::Time,
            1114 => ColumnType::Timestamp,
            1184 => ColumnType::TimestampTz,
            1186 => ColumnType::Interval,
            1266 => ColumnType::TimeTz,
            1560 => length(0).map_or(ColumnType::VarBits(None), ColumnType::Bits),
            1562 => ColumnType::VarBits(length(0)),
            1700 => ColumnType::Decimal(decimal(self.modifier)),
            2950 => ColumnType::Uuid,
            3802 => ColumnType::JsonParsed,
            _ if self.class == "e" => ColumnType::Enum(self.labels.clone()),
            // Other engines have types of these names.
            600 | 604 => ColumnType::Other(format!("pg_catalog.{}", self.shown)),
            _ => ColumnType::Other(self.shown.clone()),
        }
    }

    /// Whether another server reads the binary form that this one writes.
    pub(super) fn travels(&self) -> bool {
        let known = self.oid < FIRST_USER_OID && !LOCAL.contains(&self.oid);
        let element = self.element < FIRST_USER_OID && !LOCAL.contains(&self.element);
        let is_plain = matches!(self.class.as_str(), "b" | "r" | "m");
        self.class == "e" || (self.sends && known && element && is_plain)
    }
}

/// Digits in all and behind the point (`numeric.c`: the scale has 11 bits and a sign).
fn decimal(modifier: i32) -> Option<(u32, i32)> {
    let packed = u32::try_from(modifier.checked_sub(4)?).ok()?;
    let scale = ((packed & 0x7ff) ^ 0x400) as i32 - 0x400;
    Some(((packed >> 16) & 0xffff, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_of_decimals_are_read() {
        assert_eq!(decimal(-1), None);
        assert_eq!(decimal((10 << 16 | 2) + 4), Some((10, 2)));
        assert_eq!(decimal((1000 << 16 | 1000) + 4), Some((1000, 1000)));
        assert_eq!(decimal((3 << 16 | (-2_i32 as u32 & 0x7ff)) as i32 + 4), Some((3, -2)));
    }

    #[test]
    fn what_numbers_name_in_one_database_stays_there() {
        let base = |oid, element| Base {
            oid,
            element,
            class: "b".to_owned(),
            sends: true,
            ..Base::default()
        };
        assert!(base(23, 0).travels() && base(1007, 23).travels());
        for (oid, element) in [(2205, 0), (2210, 2205), (790, 0), (20_000, 0), (1007, 20_000)] {
            assert!(!base(oid, element).travels(), "{oid}");
        }
    }
}
