//! Whether secrets can be read. Their values are read and dropped, never shown.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use migration_protocol::fault::printable;

use crate::cli::doctor::check::Check;
use crate::model::secret::SecretSource;
use crate::platform::secret;

/// Checks one reference: `env:NAME` or `file:PATH`.
#[must_use]
pub fn check(reference: &OsStr) -> Check {
    let id = "secret";
    let Some((source, shown)) = parse(reference) else {
        let fix = "write env:NAME or file:PATH";
        return Check::fail(id, "the reference is of no known form", fix);
    };
    match secret::read(&source, false) {
        Ok(_) => Check::ok(id, format!("{shown}: yes")),
        Err(error) => {
            let hint = error.parts().hint.clone();
            let hint = hint.unwrap_or_else(|| "set the variable, or mend the file".to_owned());
            Check::fail(id, format!("{shown}: no"), hint)
        }
    }
}

/// The reference and its name; other text is not repeated, since it may be the secret itself.
fn parse(reference: &OsStr) -> Option<(SecretSource, String)> {
    let bytes = reference.as_bytes();
    if let Some(name) = bytes.strip_prefix(b"env:") {
        let name = std::str::from_utf8(name).ok()?;
        return Some((SecretSource::Env(name.to_owned()), printable(&format!("env:{name}"))));
    }
    let path = bytes.strip_prefix(b"file:")?;
    let shown = printable(&format!("file:{}", String::from_utf8_lossy(path)));
    Some((SecretSource::File(path.to_vec()), shown))
}
