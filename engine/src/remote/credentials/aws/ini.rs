//! The form of AWS configuration files: sections of names and values, and names below a name
//! where lines are indented ("Configuration and credential file settings", AWS CLI User Guide).

use secrecy::{ExposeSecret as _, SecretString};

/// One section. Values may be secrets.
#[derive(Default)]
pub(super) struct Section {
    name: String,
    values: Vec<(String, SecretString)>,
}

impl Section {
    /// Its name, as between the brackets, blanks folded.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A value; the last one of a name, `above.below` for one that is indented. An empty value is
    /// none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.values.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.expose_secret()).filter(|value| !value.is_empty())
    }
}

/// The sections of a file. Lines that are none of its form are passed over, as AWS tools do: a
/// section may hold what is another program's.
pub(super) fn sections(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut above = String::new();
    for line in text.lines() {
        let body = line.trim();
        if body.is_empty() || body.starts_with(['#', ';']) {
            continue;
        }
        if let Some(head) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            let name = head.split_whitespace().collect::<Vec<_>>().join(" ");
            sections.push(Section { name, values: Vec::new() });
            above.clear();
            continue;
        }
        let (Some(section), Some((name, value))) = (sections.last_mut(), body.split_once('='))
        else {
            continue;
        };
        let name = name.trim().to_ascii_lowercase();
        let name = if line.starts_with([' ', '\t']) && !above.is_empty() {
            format!("{above}.{name}")
        } else {
            above.clone_from(&name);
            name
        };
        section.values.push((name, SecretString::from(without_comment(value).trim())));
    }
    sections
}

/// A comment behind a value begins with a blank.
fn without_comment(value: &str) -> &str {
    let ends = [" #", " ;", "\t#", "\t;"].into_iter().filter_map(|mark| value.find(mark));
    ends.min().and_then(|end| value.get(..end)).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_values_comments_and_what_is_indented() {
        let text = "# c\nlost = 1\n[ profile  a ] # c\nRegion = eu-west-1 ; c\nk=a#b=c\nempty =\n\
            s3 =\n  endpoint_url = http://e\n\tb = 2\njunk\n[default]\nk = 1\nk = 2\n[";
        let all = sections(text);
        let names: Vec<_> = all.iter().map(Section::name).collect();
        assert_eq!(names, ["profile a", "default", ""]);
        let get = |name| all[0].get(name);
        assert_eq!(get("region"), Some("eu-west-1"));
        assert_eq!(get("k"), Some("a#b=c"));
        assert_eq!((get("empty"), get("s3"), get("lost")), (None, None, None));
        assert_eq!((get("s3.endpoint_url"), get("s3.b")), (Some("http://e"), Some("2")));
        assert_eq!(all[1].get("k"), Some("2"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_harm(text in "[\\[\\]=#; \tak\n.é]{0,80}") {
            sections(&text);
        }
    }
}
