//! The compressed forms and archives that commands name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::codec::{self, Codec, Levels};
use crate::error::{EngineError, Kind, Result};

/// A compressed form, or a form of archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// What `gunzip` reads.
    Gzip,
    /// What `zstd -d` reads.
    Zstd,
    /// What `lz4 -d` reads.
    Lz4,
    /// What `brotli -d` reads.
    Brotli,
    /// What `tar -x` reads.
    Tar,
    /// A tar within gzip.
    TarGzip,
    /// A tar within zstd, with an index of its members.
    TarZstd,
}

/// How the files of a copy are compressed.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged, expecting = "a form, or an object of format and level")]
pub enum PackSpec {
    /// A form at its usual level.
    Form(Format),
    /// A form at a level.
    Level {
        /// The form: gzip, zstd, lz4 or brotli.
        format: Format,
        /// Fast to small, as for `compress`.
        #[serde(default)]
        level: Option<u64>,
    },
}

impl PackSpec {
    /// The form and its level.
    ///
    /// # Errors
    /// `InvalidField`.
    pub fn resolve(self) -> Result<(&'static Codec, u32)> {
        let (format, level) = match self {
            Self::Form(format) => (format, None),
            Self::Level { format, level } => (format, level),
        };
        let codec = format.codec().filter(|_| !format.is_archive());
        let codec = codec.ok_or_else(|| {
            let message = "files are compressed one by one; an archive is made by compress";
            EngineError::new(Kind::InvalidField, message).field("compress")
        })?;
        Ok((codec, format.level(level).map_err(|error| error.field("compress.level"))?))
    }
}

/// Endings of archives; those of compressed files are in the table of codecs.
const ENDINGS: [(&str, Format); 8] = [
    (".tar", Format::Tar),
    (".tar.gz", Format::TarGzip),
    (".tar.gzip", Format::TarGzip),
    (".tgz", Format::TarGzip),
    (".tar.zst", Format::TarZstd),
    (".tar.zstd", Format::TarZstd),
    (".tzst", Format::TarZstd),
    (".tzstd", Format::TarZstd),
];

impl Format {
    const ALL: [Self; 7] =
        [Self::Gzip, Self::Zstd, Self::Lz4, Self::Brotli, Self::Tar, Self::TarGzip, Self::TarZstd];

    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Brotli => "brotli",
            Self::Tar => "tar",
            Self::TarGzip => "tar_gzip",
            Self::TarZstd => "tar_zstd",
        }
    }

    /// How its bytes are compressed; `None` for a plain tar.
    #[must_use]
    pub fn codec(self) -> Option<&'static Codec> {
        let name = match self {
            Self::Tar => return None,
            Self::TarGzip => "gzip",
            Self::TarZstd => "zstd",
            other => other.name(),
        };
        codec::by_name(name)
    }

    /// Whether it holds members with names.
    #[must_use]
    pub fn is_archive(self) -> bool {
        matches!(self, Self::Tar | Self::TarGzip | Self::TarZstd)
    }

    /// The archive that is compressed like this.
    #[must_use]
    pub fn archive(self) -> Option<Self> {
        match self {
            Self::Gzip => Some(Self::TarGzip),
            Self::Zstd => Some(Self::TarZstd),
            Self::Lz4 | Self::Brotli => None,
            archive => Some(archive),
        }
    }

    /// The form of a codec.
    #[must_use]
    pub fn of_codec(codec: &Codec) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == codec.name)
    }

    /// The form that a file's name ends like, in any case.
    #[must_use]
    pub fn of_name(name: &[u8]) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let archive = ENDINGS.into_iter().find(|(end, _)| lower.ends_with(end.as_bytes()));
        let plain = || codec::by_ending(name).and_then(Self::of_codec);
        archive.map(|(_, format)| format).or_else(plain)
    }

    /// Checks a level, or gives the usual one.
    ///
    /// # Errors
    /// `InvalidField`.
    pub fn level(self, level: Option<u64>) -> Result<u32> {
        let Some(Levels { least, most, usual }) = self.codec().map(|codec| codec.levels) else {
            return match level {
                None => Ok(0),
                Some(_) => {
                    Err(EngineError::new(Kind::InvalidField, "tar has no levels").field("level"))
                }
            };
        };
        let level = level.unwrap_or(u64::from(usual));
        super::fields::in_range("level", level, u64::from(least), u64::from(most))
            .map(|level| level as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_archives_from_files() {
        let of = |name: &str| Format::of_name(name.as_bytes()).map(Format::name);
        assert_eq!([of("a.tar.gz"), of("A.TGZ")], [Some("tar_gzip"); 2]);
        assert_eq!(
            [of("a.tar.zst"), of("a.tzst"), of("a.tar")],
            [Some("tar_zstd"), Some("tar_zstd"), Some("tar")]
        );
        assert_eq!(
            [of("a.gz"), of("a.zst"), of("a.br")],
            [Some("gzip"), Some("zstd"), Some("brotli")]
        );
        assert_eq!([of("a"), of("tar"), of("a.zip")], [None; 3]);
    }

    #[test]
    fn levels_belong_to_their_form() {
        assert_eq!(Format::Gzip.level(None).unwrap(), 6);
        assert_eq!(Format::TarZstd.level(Some(19)).unwrap(), 19);
        assert_eq!(Format::Brotli.level(Some(0)).unwrap(), 0);
        for (format, level) in
            [(Format::Gzip, 10), (Format::Zstd, 0), (Format::Lz4, 2), (Format::Tar, 1)]
        {
            assert_eq!(
                format.level(Some(level)).unwrap_err().parts().field.as_deref(),
                Some("level")
            );
        }
    }
}
