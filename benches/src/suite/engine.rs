//! The engine as a contender: the commands of PROTOCOL.md, run from a file.

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::Setting;
use crate::tool::Contender;

/// The engine's copies of `source` to `target`: each digest with each durability.
///
/// # Errors
/// What the system answers.
pub fn copies(
    setting: &Setting,
    source: &Path,
    target: &Path,
    checksums: &[&str],
) -> io::Result<Vec<Contender>> {
    let mut contenders = Vec::new();
    for checksum in checksums {
        for durability in ["power_loss", "crash"] {
            let command = json!({
                "op": "copy", "src": source, "dst": target,
                "checksum": checksum, "durability": durability,
            });
            let name = format!("copy {checksum} {durability}");
            contenders.push(Contender { copies: true, ..contender(setting, &name, &command)? });
        }
    }
    Ok(contenders)
}

/// The engine's digest of a file or tree.
///
/// # Errors
/// What the system answers.
pub fn checksum(setting: &Setting, source: &Path, algorithm: &str) -> io::Result<Contender> {
    let command = json!({ "op": "checksum", "src": source, "algorithm": algorithm });
    contender(setting, &format!("checksum {algorithm}"), &command)
}

/// The engine's compression of a file.
///
/// # Errors
/// What the system answers.
pub fn compress(
    setting: &Setting,
    paths: [&Path; 2],
    (format, level): (&str, u32),
    tool: &'static str,
) -> io::Result<Contender> {
    let [source, target] = paths;
    let command = json!({
        "op": "compress", "src": source, "dst": target, "format": format, "level": level,
    });
    let name = format!("compress {format} {level}");
    Ok(Contender { unpack: Some(tool), ..contender(setting, &name, &command)? })
}

/// The engine's decompression of a file.
///
/// # Errors
/// What the system answers.
pub fn decompress(setting: &Setting, paths: [&Path; 2], format: &str) -> io::Result<Contender> {
    let [packed, target] = paths;
    let command = json!({ "op": "decompress", "src": packed, "dst": target, "format": format });
    contender(setting, &format!("decompress {format}"), &command)
}

/// The engine with a command, named in the table.
///
/// # Errors
/// What the system answers.
pub fn contender(setting: &Setting, name: &str, command: &Value) -> io::Result<Contender> {
    let file = setting.scratch.join(format!("{}.jsonl", name.replace(' ', "-")));
    std::fs::write(&file, format!("{command}\n"))?;
    let words = ["run".into(), "--json".into(), file.into()];
    let engine = setting.tools.engine();
    let line = engine.map(|engine| [vec![engine.into()], words.to_vec()].concat());
    Ok(Contender {
        name: format!("engine: {name}"),
        ours: true,
        command: line,
        copies: false,
        unpack: None,
    })
}
