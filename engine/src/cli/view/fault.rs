//! Errors as people read them.

use migration_protocol::fault::{Code, Fault, printable};
use migration_protocol::vocabulary::BytePath;

use crate::cli::screen::{Colour, Screen};
use crate::cli::view::words;

/// Prints an error: what, where, why, what to do, where to read more.
pub fn print(screen: &Screen, fault: &Fault) {
    let word = screen.paint_err(Colour::Red, &format!("error[{}]", fault.code.name()));
    screen.note(&format!("{word}: {}", printable(&fault.message)));
    details(fault).iter().for_each(|line| screen.note(line));
}

/// One failed item in one line.
#[must_use]
pub fn short(code: Code, path: &BytePath, message: &str) -> String {
    format!("failed: {}: {} [{}]", words::name(path), printable(message), code.name())
}

fn details(fault: &Fault) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(place) = place(fault) {
        lines.push(format!("  at: {place}"));
    }
    for cause in &fault.cause {
        let errno = cause.errno.map_or_else(String::new, |errno| format!(" ({})", os_error(errno)));
        lines.push(format!("  cause: {}{errno}", printable(&cause.message)));
    }
    lines.push(format!("  hint: {}", printable(&fault.hint)));
    lines.push(format!("  explain: migration-engine explain {}", fault.code.name()));
    lines
}

fn place(fault: &Fault) -> Option<String> {
    let at = fault.at.as_ref()?;
    let path = at.path.as_ref().map(words::name).filter(|name| !name.is_empty());
    let field = at.field.as_ref().map(|field| format!("field {}", printable(field)));
    let offset = at.offset.map(|offset| format!("byte {offset}"));
    let parts: Vec<String> = path.into_iter().chain(field).chain(offset).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn os_error(errno: i32) -> String {
    std::io::Error::from_raw_os_error(errno).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_where_why_and_what_next() {
        let fault = Fault::new(Code::SrcPermission, "failed to open the source")
            .at_path(b"a\nb")
            .caused_by("open", Some(13));
        let expected = [
            "  at: a\\nb",
            "  cause: open (Permission denied (os error 13))",
            "  hint: grant read access, or exclude the item",
            "  explain: migration-engine explain SRC_PERMISSION",
        ];
        assert_eq!(details(&fault), expected);
    }
}
