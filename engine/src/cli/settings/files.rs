//! Configuration files. A key that is not known is an error: it would silently change nothing.

use std::path::{Path, PathBuf};

use migration_protocol::fault::{Code, Fault};
use schemars::schema_for;
use serde_json::{Map, Value};

use crate::cli::settings::layer::{Layer, Origin};
use crate::cli::settings::options::Options;
use crate::command::{COMMANDS, fields};
use crate::platform::operator;

/// Longest configuration file, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The project's file, in the working directory.
const PROJECT: &str = "migration-engine.toml";
/// Fields that say what is done; a default for them would be a trap.
const NEVER_DEFAULTS: [&str; 13] = [
    "check",
    "command",
    "count",
    "delete",
    "dry_run",
    "dst",
    "exclude",
    "forget",
    "include",
    "locations",
    "manifest",
    "src",
    "target",
];

/// The layers of the files that are there, those that count first in front.
///
/// # Errors
/// A file that cannot be read, is no TOML, or has a key or value that is not known.
pub fn layers(named: Option<&Path>) -> Result<Vec<Layer>, Fault> {
    if let Some(path) = named {
        let text = operator::read_small(path, FILE_BYTES_MAX).map_err(|e| unreadable(path, &e))?;
        return Ok(vec![parse(path, &text)?]);
    }
    let mut layers = Vec::new();
    for path in places() {
        match operator::read_small(&path, FILE_BYTES_MAX) {
            Ok(text) => layers.push(parse(&path, &text)?),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(unreadable(&path, &error)),
        }
    }
    Ok(layers)
}

/// Where files are looked for.
fn places() -> Vec<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let user = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    let user = user.map(|base| base.join("migration-engine/config.toml"));
    let system = PathBuf::from("/etc/migration-engine/config.toml");
    [Some(PathBuf::from(PROJECT)), user, Some(system)].into_iter().flatten().collect()
}

fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    let message = "failed to read the configuration file";
    at(Fault::new(Code::InvalidField, message).caused_by("open", error.raw_os_error()), path)
        .hint("mend the file, or name another one with --config")
}

fn at(fault: Fault, path: &Path) -> Fault {
    fault.at_path(path.as_os_str().as_encoded_bytes())
}

fn parse(path: &Path, text: &[u8]) -> Result<Layer, Fault> {
    let options = read(text).map_err(|fault| at(fault, path))?;
    let mut layer = Layer::new(options, Origin::File(path.to_owned()));
    if path == Path::new(PROJECT) && layer.options.allow_secret_command.is_some() {
        let message = "allow_secret_command cannot be set by the file of a project";
        let hint = "a directory's own file must not let programs run: set it in the user's file";
        return Err(at(Fault::new(Code::InvalidField, message).hint(hint), path));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    layer.options.state_dir = layer.options.state_dir.map(|state| folder.join(state));
    Ok(layer)
}

fn read(text: &[u8]) -> Result<Options, Fault> {
    let invalid = |message: String| {
        let fault = Fault::new(Code::InvalidField, message);
        fault.hint("`migration-engine config show --origin` lists the keys and their values")
    };
    let text = std::str::from_utf8(text).map_err(|_| invalid("not UTF-8".to_owned()))?;
    let table: Map<String, Value> = toml::from_str(text).map_err(|error| {
        let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        invalid(format!("not valid TOML, line {line}: {}", error.message()))
    })?;
    let known = fields::properties(&schema_for!(Options));
    refuse_unknown("", table.keys(), &known)?;
    if let Some(defaults) = table.get("defaults").and_then(Value::as_object) {
        refuse_unknown("defaults.", defaults.keys(), &default_fields())?;
    }
    serde_path_to_error::deserialize(Value::Object(table))
        .map_err(|error| invalid(error.inner().to_string()).at_field(error.path().to_string()))
}

/// Every field of a command that a default may fill.
fn default_fields() -> Vec<String> {
    let all = COMMANDS.iter().flat_map(|command| fields::properties(&(command.schema)()));
    let mut all: Vec<_> = all.filter(|name| !NEVER_DEFAULTS.contains(&name.as_str())).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn refuse_unknown<'a>(
    prefix: &str,
    mut keys: impl Iterator<Item = &'a String>,
    known: &[String],
) -> Result<(), Fault> {
    let Some(key) = keys.find(|key| !known.contains(key)) else {
        return Ok(());
    };
    let fault = Fault::new(Code::UnknownField, format!("the key {prefix}{key} is not known"));
    let fault = fault.at_field(format!("{prefix}{key}"));
    Err(match fields::nearest(key, known.iter().map(String::as_str)) {
        Some(near) => fault.hint(format!("did you mean {prefix}{near}?")),
        None => fault.hint(format!("known keys: {}", known.join(", "))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_or_refused_with_the_nearest() {
        let options = read(b"jobs = 3\n[defaults]\nchecksum = \"sha256\"\n").unwrap();
        assert_eq!((options.jobs, options.defaults.len()), (Some(3), 1));
        let fault = read(b"memory_cab = \"1GiB\"").unwrap_err();
        assert_eq!(
            (fault.code, fault.hint.as_str()),
            (Code::UnknownField, "did you mean memory_cap?")
        );
        let fault = read(b"[defaults]\nchecksumm = \"md5\"").unwrap_err();
        assert_eq!(fault.hint, "did you mean defaults.checksum?");
        assert!(read(b"[defaults]\nsrc = \"x\"").is_err());
        assert_eq!(read(b"jobs = \"x\"").unwrap_err().at.unwrap().field.unwrap(), "jobs");
        assert!(read(b"jobs = ").is_err() && read(b"\xff").is_err());
    }

    #[test]
    fn a_project_cannot_let_programs_run() {
        assert!(parse(Path::new(PROJECT), b"allow_secret_command = true").is_err());
        assert!(parse(Path::new("/x/config.toml"), b"allow_secret_command = true").is_ok());
    }
}
