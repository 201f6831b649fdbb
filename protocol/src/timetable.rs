//! Bounds that change with the time of the week.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::message::Change;
use crate::vocabulary::Size;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// A time of day, in minutes since midnight; on the wire `"HH:MM"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOfDay(pub u16);

impl std::str::FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = |text: &str, most: u16| {
            let is_plain = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u16>().ok().filter(|number| is_plain && *number <= most)
        };
        let (hour, minute) = text.split_once(':').unwrap_or_default();
        match (part(hour, 23), part(minute, 59)) {
            (Some(hour), Some(minute)) => Ok(Self(hour * 60 + minute)),
            _ => Err("expected a time from 00:00 to 23:59".to_owned()),
        }
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for TimeOfDay {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TimeOfDay".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$" })
    }
}

/// Bounds from a time of the week on, until the next entry's. What it leaves out stays as it is set
/// beside the timetable; `null` lifts it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// When it begins, by the clock of the engine's machine.
    pub at: TimeOfDay,
    /// On which days. Default: every day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<Vec<Day>>,
    /// Bytes read from sources each second.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub bytes_per_s: Change<Size>,
    /// Items begun each second.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub ops_per_s: Change<u64>,
    /// Rows of tables copied each second.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub rows_per_s: Change<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact_or_refused() {
        let read = |text: &str| text.parse::<TimeOfDay>().ok().map(|time| time.0);
        assert_eq!((read("00:00"), read("23:59"), read("07:05")), (Some(0), Some(1439), Some(425)));
        for bad in ["24:00", "7:05", "07:60", "07:5", "0705", "07:05:00", "+7:05", "", "a:b"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn absent_and_null_differ_and_are_written_as_they_were_read() {
        let text = r#"{"at":"18:30","days":["mon","sun"],"bytes_per_s":null}"#;
        let slot: Slot = serde_json::from_str(text).unwrap();
        assert_eq!((slot.bytes_per_s, slot.ops_per_s), (Change::Lift, Change::Keep));
        assert_eq!(serde_json::to_string(&slot).unwrap(), text);
        assert!(serde_json::from_str::<Slot>(r#"{"at":"18:30","day":"mon"}"#).is_err());
        assert!(serde_json::from_str::<Slot>(r#"{"at":"18:30","days":["monday"]}"#).is_err());
    }
}
