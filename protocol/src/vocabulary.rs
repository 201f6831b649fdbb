//! Shapes that several commands share.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::fault::without_values;
use crate::store::StoreSpec;
use crate::timetable::Slot;

/// Where something is: a path, or a URL with references to its secrets.
///
/// On the wire: `"dir/a"`, `{"b64":"Zm9v/w=="}` for a name that is not UTF-8, or
/// `{"url":"s3://bucket/x","auth":{"secret":{"env":"S3_SECRET"}}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocationSpec {
    /// The exact bytes of the path or URL.
    pub bytes: Vec<u8>,
    /// Named secrets, by reference only.
    pub auth: Vec<(String, SecretRef)>,
    /// How its store is reached and written.
    pub store: Box<StoreSpec>,
}

impl LocationSpec {
    /// A location from a path's bytes.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), auth: Vec::new(), store: Box::default() }
    }
}

impl<'de> Deserialize<'de> for LocationSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = LocationSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path or URL, {\"b64\":…}, or {\"url\":…,\"auth\":{…},…}")
            }

            fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<LocationSpec, E> {
                Ok(LocationSpec::from_bytes(v))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LocationSpec, A::Error> {
                let mut bytes = None;
                let mut auth = Vec::new();
                let mut store = serde_json::Map::new();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "b64" | "url" if bytes.is_some() => {
                            return Err(A::Error::custom("give one of b64 and url"));
                        }
                        "b64" => bytes = Some(decode_base64(&map.next_value::<String>()?)?),
                        "url" => bytes = Some(map.next_value::<String>()?.into_bytes()),
                        "auth" => {
                            let named: std::collections::BTreeMap<String, SecretRef> =
                                map.next_value()?;
                            auth = named.into_iter().collect();
                        }
                        _ => drop(store.insert(key, map.next_value()?)),
                    }
                }
                let bytes = bytes.ok_or_else(|| A::Error::missing_field("url"))?;
                let store = StoreSpec::deserialize(serde_json::Value::Object(store))
                    .map_err(|error| A::Error::custom(without_values(&error.to_string())))?;
                Ok(LocationSpec { bytes, auth, store: Box::new(store) })
            }
        }
        deserializer.deserialize_any(Seen)
    }
}

fn decode_base64<E: serde::de::Error>(text: &str) -> Result<Vec<u8>, E> {
    BASE64.decode(text).map_err(|_| E::custom("b64 is not base64"))
}

impl JsonSchema for LocationSpec {
    fn schema_name() -> Cow<'static, str> {
        "Location".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let secret = generator.subschema_for::<SecretRef>();
        let store = StoreSpec::json_schema(generator);
        let mut fields = store.get("properties").cloned().unwrap_or_default();
        fields["url"] = serde_json::json!({ "type": "string" });
        fields["auth"] = serde_json::json!({ "type": "object", "additionalProperties": secret });
        json_schema!({
            "description": "A path or URL; {b64} for bytes that are not UTF-8; {url, auth, …} with secrets by reference and how its store is reached.",
            "oneOf": [
                { "type": "string", "title": "PathOrUrl" },
                { "type": "object", "title": "ExactBytes", "properties": { "b64": { "type": "string" } },
                  "required": ["b64"], "additionalProperties": false },
                { "type": "object", "title": "UrlWithSecrets", "properties": fields,
                  "required": ["url"], "additionalProperties": false }
            ]
        })
    }
}

/// Where a secret is found. The value itself never crosses the wire.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretRef {
    /// Name of an environment variable of the engine.
    #[schemars(title = "SecretFromEnv")]
    Env(String),
    /// Path of a file, readable by its owner only; one trailing newline is dropped.
    #[schemars(title = "SecretFromFile")]
    File(String),
    /// An inherited file descriptor, read to its end.
    #[schemars(title = "SecretFromFd")]
    Fd(u32),
    /// A program whose output is the secret; refused unless the engine was started to allow it.
    #[schemars(title = "SecretFromCommand")]
    Command(Vec<String>),
}

/// A name as it is written out: `path` for people, and the exact bytes where they differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BytePath {
    /// The name; bytes that are not UTF-8 shown as U+FFFD.
    pub path: String,
    /// Base64 of the exact bytes; only where `path` is not exact.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub path_b64: Option<String>,
}

impl BytePath {
    /// The name with exactly these bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self { path: text.to_owned(), path_b64: None },
            Err(_) => Self {
                path: String::from_utf8_lossy(bytes).into_owned(),
                path_b64: Some(BASE64.encode(bytes)),
            },
        }
    }

    /// The exact bytes; `None` when `path_b64` is not base64.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match &self.path_b64 {
            Some(text) => BASE64.decode(text).ok(),
            None => Some(self.path.clone().into_bytes()),
        }
    }
}

/// Reads a nested object, and only an object: a list would fill its fields by their order.
///
/// # Errors
/// For anything but an object, and those of its fields.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct Seen<T>(std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Seen<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(serde::de::value::MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_map(Seen(std::marker::PhantomData))
}

/// One value or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Seen<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list of values")
            }

            fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<Self::Value, E> {
                T::deserialize(serde::de::value::StrDeserializer::new(v))
                    .map(|v| OneOrMany(vec![v]))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    .map(|v| OneOrMany(vec![v]))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(value) = seq.next_element()? {
                    list.push(value);
                }
                Ok(OneOrMany(list))
            }
        }
        deserializer.deserialize_any(Seen(std::marker::PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "oneOf": [one, { "type": "array", "items": one }] })
    }
}

/// A number of bytes: an integer, or a string with a unit such as `"50MB"` or `"64MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A span of time: an integer of milliseconds, or a string such as `"250ms"`, `"30s"`, `"5m"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

const SIZE_UNITS: [(&str, u64); 10] = [
    ("B", 1),
    ("kB", 1000),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];
const TIME_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        with_unit(text, &SIZE_UNITS).map(Size)
    }
}

impl std::str::FromStr for Millis {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        with_unit(text, &TIME_UNITS).map(Millis)
    }
}

/// Reads `123`, `123UNIT` or `1.5UNIT` exactly; a fraction that is no whole number is refused.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Result<u64, String> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.trim();
    let names = || units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let scale = match units.iter().find(|(name, _)| *name == unit) {
        Some((_, scale)) => *scale,
        None if unit.is_empty() => 1,
        None => return Err(format!("unknown unit; known are {}", names())),
    };
    let (whole, fraction) = number.trim().split_once('.').unwrap_or((number.trim(), ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return Err(format!("expected a number with one of the units {}", names()));
    }
    let power = 10u64.pow(fraction.len() as u32);
    let parse = |s: &str| if s.is_empty() { Ok(0) } else { s.parse::<u64>() };
    let overflow = || "too large".to_owned();
    let whole = parse(whole).map_err(|_| overflow())?.checked_mul(scale).ok_or_else(overflow)?;
    let part = parse(fraction).map_err(|_| overflow())?.checked_mul(scale).ok_or_else(overflow)?;
    if part % power != 0 {
        return Err("not a whole number of the smallest unit".to_owned());
    }
    let sum = whole.checked_add(part / power).ok_or_else(overflow)?;
    if sum > crate::INTEGER_MAX { Err(overflow()) } else { Ok(sum) }
}

macro_rules! number_or_text {
    ($name:ident, $schema:literal, $what:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Seen;
                impl Visitor<'_> for Seen {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }

                    fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<$name, E> {
                        if v > crate::INTEGER_MAX {
                            return Err(E::custom("larger than 2^53 - 1"));
                        }
                        Ok($name(v))
                    }

                    fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<$name, E> {
                        v.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Seen)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_u64(self.0)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $schema.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": ["integer", "string"], "minimum": 0, "description": $what })
            }
        }
    };
}

number_or_text!(Size, "Size", "bytes as an integer, or a string with a unit such as \"64MiB\"");
number_or_text!(Millis, "Millis", "milliseconds as an integer, or a string such as \"30s\"");

/// What happens where the destination already holds something of that name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnExists {
    /// The item fails with `DST_EXISTS`; nothing is overwritten.
    #[default]
    Fail,
    /// The item is left as it stands and counted as skipped.
    Skip,
    /// Skipped when size and modification time agree, replaced otherwise.
    Update,
    /// Replaced as a whole, atomically.
    Replace,
}

/// A digest algorithm.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// CRC-64/NVME, what S3 stores by default. Finds accidents, not attacks.
    #[default]
    Crc64nvme,
    /// CRC-32C (Castagnoli). Finds accidents, not attacks.
    Crc32c,
    /// SHA-256.
    Sha256,
    /// BLAKE3, 256 bits.
    Blake3,
    /// MD5, for stores and tools that know nothing else.
    Md5,
    /// SHA-1, for old lists.
    Sha1,
}

impl Algorithm {
    /// Every algorithm, in the order of the schema.
    pub const ALL: [Algorithm; 6] =
        [Self::Crc64nvme, Self::Crc32c, Self::Sha256, Self::Blake3, Self::Md5, Self::Sha1];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc64nvme => "crc64nvme",
            Self::Crc32c => "crc32c",
            Self::Sha256 => "sha256",
            Self::Blake3 => "blake3",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
        }
    }
}

/// The digest of a copy: an algorithm, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Checksum {
    /// CRC-64/NVME.
    #[default]
    Crc64nvme,
    /// CRC-32C.
    Crc32c,
    /// SHA-256.
    Sha256,
    /// BLAKE3.
    Blake3,
    /// MD5.
    Md5,
    /// No digest; the result then says `verify.level: "size"`.
    None,
}

impl Checksum {
    /// The algorithm; `None` where no digest is taken.
    #[must_use]
    pub fn algorithm(self) -> Option<Algorithm> {
        Some(match self {
            Self::Crc64nvme => Algorithm::Crc64nvme,
            Self::Crc32c => Algorithm::Crc32c,
            Self::Sha256 => Algorithm::Sha256,
            Self::Blake3 => Algorithm::Blake3,
            Self::Md5 => Algorithm::Md5,
            Self::None => return None,
        })
    }
}

/// How far a copy is verified before its result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerifyLevel {
    /// Sizes and the digest of the very bytes written, taken while they pass.
    #[default]
    Stream,
    /// Also read back from the device after a sync and compared.
    Readback,
    /// Nothing beyond the length.
    None,
}

/// What a copy survives once its result is `ok`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Loss of power: data, names and directories are synced before the item counts as done.
    #[default]
    PowerLoss,
    /// Death of the process only: no sync.
    Crash,
}

/// What is done with symbolic links in a source tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Symlinks {
    /// Copied as links, text unchanged.
    #[default]
    Preserve,
    /// What they name is copied, as long as it lies inside the source.
    Follow,
    /// Left out and counted as skipped.
    Skip,
}

/// What beyond the content is carried over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preserve {
    /// Permission bits, without set-user-id, set-group-id and sticky.
    Mode,
    /// Modification and access time, in nanoseconds.
    Times,
    /// Owner and group; needs privilege.
    Owner,
    /// Set-user-id, set-group-id and sticky bits too, and with `xattrs` file capabilities; implies
    /// `mode`.
    Setuid,
    /// Extended attributes: `user.`, and `trusted.` and `security.` as far as privilege allows.
    Xattrs,
    /// POSIX access lists, of directories their default lists too; implies `mode`.
    Acls,
    /// Names of one file inside the source become names of one file.
    HardLinks,
    /// Holes stay holes.
    Holes,
    /// Fifos, sockets and devices are made again instead of failing; needs privilege for devices.
    Specials,
}

/// How `update` tells that what stands at the destination is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// Kind, size and modification time, at the coarser of both sides' steps.
    #[default]
    Time,
    /// Kind, size and content: both sides are read.
    Digest,
}

/// Whether a copy holds the lease on its destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lock {
    /// It does not.
    #[default]
    None,
    /// It does; where another holds it, the command fails with `LOCKED`.
    Fail,
    /// It does; where another holds it, the command waits.
    Wait,
}

/// The most that `delete` removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaxDelete {
    /// Names, directories included. Default: no bound.
    #[serde(default)]
    pub count: Option<u64>,
    /// Share of the items that stood at the destination before, 0 to 100. Default: no bound.
    #[serde(default)]
    pub percent: Option<u64>,
}

/// Bounds of one job or of the whole engine; `null` lifts a bound, 0 is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitSpec {
    /// Bytes read from sources each second.
    #[serde(default)]
    pub bytes_per_s: Option<Size>,
    /// Items begun each second.
    #[serde(default)]
    pub ops_per_s: Option<u64>,
    /// Rows of tables copied each second.
    #[serde(default)]
    pub rows_per_s: Option<u64>,
    /// Bounds by the time of the week. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timetable: Vec<Slot>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str) -> Option<u64> {
        text.parse::<Size>().ok().map(|s| s.0)
    }

    #[test]
    fn sizes_and_times_are_exact_or_refused() {
        assert_eq!(size("50MB"), Some(50_000_000));
        assert_eq!(size("64MiB"), Some(64 << 20));
        assert_eq!(size("1.5 KiB"), Some(1536));
        assert_eq!(size("0.1B"), None);
        assert_eq!(size("-1"), None);
        assert_eq!(size("1e9"), None);
        assert_eq!(size("9999999999TiB"), None);
        assert_eq!(size("MiB"), None);
        assert_eq!("30s".parse::<Millis>().unwrap().0, 30_000);
        assert!(serde_json::from_str::<Size>("9007199254740992").is_err());
        assert!(serde_json::from_str::<Size>("1.5").is_err());
    }

    #[test]
    fn locations_keep_every_byte() {
        let spec: LocationSpec = serde_json::from_str(r#"{"b64":"Zm9v/2Jhcg=="}"#).unwrap();
        assert_eq!(spec.bytes, b"foo\xffbar");
        assert_eq!(BytePath::new(&spec.bytes).bytes().unwrap(), spec.bytes);
        assert!(serde_json::from_str::<LocationSpec>(r#"{"b64":"a","url":"b"}"#).is_err());
        assert!(serde_json::from_str::<LocationSpec>(r#"{"ulr":"b"}"#).is_err());
        assert!(serde_json::from_str::<LocationSpec>("{}").is_err());
    }

    #[test]
    fn a_list_is_no_object() {
        #[derive(Deserialize)]
        struct Outer {
            #[serde(default, deserialize_with = "object")]
            limits: LimitSpec,
        }
        let read = |text: &str| serde_json::from_str::<Outer>(text).map(|outer| outer.limits);
        assert_eq!(read(r#"{"limits":{"ops_per_s":1}}"#).unwrap().ops_per_s, Some(1));
        assert_eq!(read("{}").unwrap(), LimitSpec::default());
        for bad in ["[]", "[1]", "7", r#"{"bogus":1}"#] {
            assert!(read(&format!("{{\"limits\":{bad}}}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_come_by_reference_only() {
        let spec = |s: &str| serde_json::from_str::<LocationSpec>(s);
        assert!(spec(r#"{"url":"s3://b","auth":{"secret":{"env":"K"}}}"#).is_ok());
        assert!(spec(r#"{"url":"s3://b","auth":{"secret":"hunter2"}}"#).is_err());
    }
}
