//! Types of columns, from the words of `information_schema`.

use crate::model::kind::ColumnType;

/// Types of spatial values.
const SPATIAL: [&str; 9] = [
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
    "geomcollection",
];

/// Whether values of this type are shapes. They travel as `SRID=4326;` and the WKB in hex digits.
pub(super) fn is_spatial(name: &str) -> bool {
    SPATIAL.contains(&name)
}

/// What the values of a column are. `name` is `DATA_TYPE`, `declared` `COLUMN_TYPE`.
pub(super) fn kind(name: &str, declared: &str) -> ColumnType {
    let unsigned = declared.contains("unsigned");
    let int = |bits| if unsigned { ColumnType::Unsigned(bits) } else { ColumnType::Int(bits) };
    match name {
        "tinyint" if declared == "tinyint(1)" => ColumnType::Bool,
        "tinyint" => int(8),
        "smallint" => int(16),
        "mediumint" => int(24),
        "int" => int(32),
        "bigint" => int(64),
        "float" => ColumnType::Float32,
        "double" => ColumnType::Float64,
        "decimal" => {
            let numbers = numbers(declared);
            let (digits, scale) = (numbers.first().copied(), numbers.get(1).copied());
            let scale = i32::try_from(scale.unwrap_or(0)).unwrap_or(0);
            ColumnType::Decimal(Some((digits.unwrap_or(10) as u32, scale)))
        }
        "bit" => ColumnType::Bits(length(declared).unwrap_or(1)),
        "char" => ColumnType::Char(length(declared).unwrap_or(1)),
        "varchar" => ColumnType::Text(length(declared)),
        "tinytext" | "text" | "mediumtext" | "longtext" => ColumnType::Text(None),
        "binary" => ColumnType::FixedBytes(length(declared).unwrap_or(1)),
        "varbinary" => ColumnType::Bytes(length(declared)),
        "tinyblob" | "blob" | "mediumblob" | "longblob" => ColumnType::Bytes(None),
        "enum" => ColumnType::Enum(labels(declared)),
        "set" => ColumnType::Set(labels(declared)),
        "date" => ColumnType::Date,
        "datetime" => ColumnType::Timestamp,
        "timestamp" => ColumnType::TimestampTz,
        "time" => ColumnType::Duration,
        "year" => ColumnType::Year,
        "json" => ColumnType::JsonParsed,
        "uuid" => ColumnType::Uuid,
        other => ColumnType::Other(other.to_owned()),
    }
}

/// The numbers in the brackets of a type.
fn numbers(declared: &str) -> Vec<u64> {
    let inside = declared.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    let inside = inside.map_or("", |(inside, _)| inside);
    inside.split(',').filter_map(|number| number.trim().parse().ok()).collect()
}

fn length(declared: &str) -> Option<u64> {
    numbers(declared).first().copied()
}

/// The labels of `enum('a','b''c')`.
fn labels(declared: &str) -> Vec<String> {
    let (mut labels, mut label) = (Vec::new(), None::<String>);
    let mut chars = declared.chars().skip_while(|c| *c != '(').skip(1).peekable();
    while let Some(c) = chars.next() {
        let Some(inside) = label.as_mut() else {
            if c == '\'' {
                label = Some(String::new());
            }
            continue;
        };
        match c {
            '\'' if chars.peek() == Some(&'\'') => {
                chars.next();
                inside.push('\'');
            }
            '\'' => labels.extend(label.take()),
            '\\' => inside.push(match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('0') => '\0',
                Some(other) => other,
                None => '\\',
            }),
            other => inside.push(other),
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_declared_so_and_nothing_else_is() {
        assert_eq!(kind("tinyint", "tinyint(1)"), ColumnType::Bool);
        assert_eq!(kind("tinyint", "tinyint(1) unsigned"), ColumnType::Unsigned(8));
        assert_eq!(kind("tinyint", "tinyint(4)"), ColumnType::Int(8));
        assert_eq!(kind("int", "int(10) unsigned zerofill"), ColumnType::Unsigned(32));
    }

    #[test]
    fn lengths_digits_and_labels() {
        assert_eq!(kind("decimal", "decimal(65,30)"), ColumnType::Decimal(Some((65, 30))));
        assert_eq!(kind("bit", "bit(64)"), ColumnType::Bits(64));
        let declared = r"enum('a','b''c','d\\e','f,g','')";
        let expected = ["a", "b'c", r"d\e", "f,g", ""].map(str::to_owned).to_vec();
        assert_eq!(kind("enum", declared), ColumnType::Enum(expected));
        assert_eq!(kind("point", "point"), ColumnType::Other("point".to_owned()));
    }
}
