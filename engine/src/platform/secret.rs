//! Reads a secret from where its reference points. The value is never shown.

use std::io::Read as _;
use std::os::unix::ffi::OsStringExt;

use secrecy::SecretBox;

use crate::error::{EngineError, Kind, Result};
use crate::model::secret::{Secret, SecretSource};
use crate::platform::operator;

/// Longest secret, bytes.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Reads the secret; one newline at the end of a file or output is dropped.
///
/// # Errors
/// `SecretUnresolved` naming the reference: a missing variable, a file that others may read, a
/// program where none is allowed.
pub fn read(source: &SecretSource, allow_command: bool) -> Result<Secret> {
    let unresolved = |why: String| EngineError::new(Kind::SecretUnresolved, why);
    let bytes = match source {
        SecretSource::Env(name) => std::env::var_os(name)
            .map(OsStringExt::into_vec)
            .ok_or_else(|| unresolved(format!("the environment has no variable {name}")))?,
        SecretSource::File(path) => from_file(path)?,
        SecretSource::Fd(fd) => from_path(format!("/proc/self/fd/{fd}").as_bytes())?,
        SecretSource::Command(_) if !allow_command => {
            let error = unresolved("secrets from programs are not allowed here".to_owned());
            return Err(error.hint("start the engine with --allow-secret-command"));
        }
        SecretSource::Command(argv) => from_command(argv)?,
    };
    Ok(SecretBox::new(without_newline(bytes).into_boxed_slice()))
}

fn without_newline(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    bytes
}

fn from_file(path: &[u8]) -> Result<Vec<u8>> {
    let shown = String::from_utf8_lossy(path).into_owned();
    let file = operator::open_file(path).map_err(|error| {
        EngineError::new(Kind::SecretUnresolved, format!("failed to open the secret file {shown}"))
            .because("open", error.raw_os_error())
    })?;
    if operator::mode(&file).is_ok_and(|mode| mode & 0o077 != 0) {
        let message = format!("the secret file {shown} can be read by others");
        return Err(EngineError::new(Kind::SecretUnresolved, message).hint("chmod 600 the file"));
    }
    bounded(file)
}

fn from_path(path: &[u8]) -> Result<Vec<u8>> {
    bounded(operator::open_file(path).map_err(|error| {
        EngineError::new(Kind::SecretUnresolved, "failed to open the secret's descriptor")
            .because("open", error.raw_os_error())
    })?)
}

fn bounded(file: impl std::io::Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes);
    match read {
        Ok(_) if bytes.len() as u64 <= SECRET_BYTES_MAX => Ok(bytes),
        Ok(_) => Err(EngineError::new(Kind::SecretUnresolved, "the secret is longer than 64 KiB")),
        Err(error) => Err(EngineError::new(Kind::SecretUnresolved, "failed to read the secret")
            .because("read", error.raw_os_error())),
    }
}

fn from_command(argv: &[String]) -> Result<Vec<u8>> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(EngineError::new(Kind::SecretUnresolved, "the secret's program is empty"));
    };
    let output = std::process::Command::new(program)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => bounded(output.stdout.as_slice()),
        _ => Err(EngineError::new(Kind::SecretUnresolved, format!("the program {program} failed"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn files_of_others_and_unasked_programs_are_refused() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"hunter2\n").unwrap();
        let source = SecretSource::File(file.path().as_os_str().as_encoded_bytes().to_vec());
        let secret = read(&source, false).unwrap();
        assert_eq!(secret.expose_secret(), b"hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = read(&source, false).unwrap_err();
        assert_eq!(error.kind(), Kind::SecretUnresolved);
        let program = SecretSource::Command(vec!["echo".into(), "x".into()]);
        assert!(read(&program, false).is_err());
        assert_eq!(read(&program, true).unwrap().expose_secret(), b"x");
        assert!(read(&SecretSource::Env("NO_SUCH_VARIABLE_HERE".into()), false).is_err());
    }
}
