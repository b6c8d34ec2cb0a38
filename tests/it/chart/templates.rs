//! Which values the templates read: a reader of Go templates that knows just enough of `with`,
//! `range`, `define` and variables to say what a dot stands for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::chart;

/// Dotted paths below `.Values`. The empty path is `.Values` itself.
pub(super) type Paths = BTreeSet<String>;

/// What a dot or a variable stands for: a path below the root, or something unknown.
type Meaning = Option<String>;

/// Every value that some template reads.
pub(super) fn read_by_templates() -> Paths {
    let mut paths = Paths::new();
    for folder in ["templates", "templates/tests"] {
        for entry in fs::read_dir(chart().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                paths.append(&mut read_by(&fs::read_to_string(path).unwrap()));
            }
        }
    }
    paths
}

/// Every value that a template reads.
pub(super) fn read_by(template: &str) -> Paths {
    let mut reader = Reader::default();
    for action in template.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
        let action = action.trim_matches('-').trim();
        if !action.starts_with("/*") {
            reader.action(&without_strings(action));
        }
    }
    assert!(reader.dots.is_empty(), "blocks without an end: {:?}", reader.dots);
    reader.read
}

/// Text in quotes names no value.
fn without_strings(action: &str) -> String {
    let mut plain = String::new();
    for (index, part) in action.replace("\\\"", "").split('"').enumerate() {
        plain.push_str(if index % 2 == 0 { part } else { " " });
    }
    plain
}

#[derive(Default)]
struct Reader {
    /// What the dot was before each open block.
    dots: Vec<Meaning>,
    dot: Meaning,
    variables: BTreeMap<String, Meaning>,
    read: Paths,
}

impl Reader {
    fn action(&mut self, action: &str) {
        if self.dots.is_empty() && self.dot.is_none() {
            self.dot = Some(String::new());
        }
        let (word, rest) = action.split_once(' ').unwrap_or((action, ""));
        match word {
            "end" => self.dot = self.dots.pop().expect("an end without a block"),
            "if" => self.open(self.dot.clone(), rest),
            "define" => self.open(Some(String::new()), ""),
            "with" => {
                let target = self.meaning(rest.trim());
                // A section that is only entered is not read: its keys must be.
                let rest = if target.is_some() { "" } else { rest };
                self.open(target, rest);
            }
            "range" => {
                // What is walked is read; what the variables stand for is not known.
                let (variables, list) = rest.split_once(":=").unwrap_or(("", rest));
                for variable in variables.split(',') {
                    self.variables.insert(variable.trim().to_owned(), None);
                }
                self.open(None, list);
            }
            "else" => {}
            _ => self.assign_or_read(action),
        }
    }

    fn open(&mut self, dot: Meaning, pipeline: &str) {
        self.assign_or_read(pipeline);
        self.dots.push(std::mem::replace(&mut self.dot, dot));
    }

    fn assign_or_read(&mut self, pipeline: &str) {
        let Some((variable, value)) = pipeline.split_once(":=") else {
            return self.references(pipeline);
        };
        let meaning = self.meaning(value.trim());
        if meaning.is_none() {
            self.references(value);
        }
        for variable in variable.split(',') {
            self.variables.insert(variable.trim().to_owned(), meaning.clone());
        }
    }

    fn references(&mut self, pipeline: &str) {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '$' | '_');
        for token in pipeline.split(|c| !word(c)) {
            if let Some(path) = self.meaning(token).filter(|path| !path.is_empty()) {
                self.read.insert(path);
            }
        }
    }

    /// What one reference stands for; the root itself is the empty path.
    fn meaning(&self, token: &str) -> Meaning {
        if token.is_empty() || token.contains(char::is_whitespace) {
            return None;
        }
        let absolute = token.strip_prefix('$').unwrap_or(token);
        if let Some(path) = absolute.strip_prefix(".Values") {
            return Some(path.trim_start_matches('.').to_owned());
        }
        if let Some(named) = token.strip_prefix('$') {
            let (name, keys) = named.split_once('.').unwrap_or((named, ""));
            return joined(self.variables.get(&format!("${name}"))?.as_ref()?, keys);
        }
        let keys = token.strip_prefix('.')?;
        joined(self.dot.as_ref()?, keys)
    }
}

/// `.Release`, `.Chart` and the like are no values.
fn joined(base: &str, keys: &str) -> Meaning {
    match (base, keys) {
        ("", keys) if !keys.is_empty() => None,
        (base, "") => Some(base.to_owned()),
        (base, keys) => Some(format!("{base}.{keys}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(template: &str) -> Vec<String> {
        read_by(template).into_iter().collect()
    }

    #[test]
    fn a_dot_is_what_the_block_makes_of_it() {
        assert_eq!(paths("{{ .Values.a.b }}{{ .Release.Name }}"), ["a.b"]);
        assert_eq!(paths("{{- with .Values.a }}{{ .b }}{{ $.Values.c }}{{ end }}"), ["a.b", "c"]);
        assert_eq!(paths("{{ with .Values.a }}{{ with .b }}{{ . }}{{ end }}{{ end }}"), ["a.b"]);
        assert_eq!(paths("{{ range $i := .Values.a }}{{ .b }}{{ end }}"), ["a"]);
        assert_eq!(paths("{{ $x := .Values.a }}{{ $x.b }}"), ["a.b"]);
        assert_eq!(paths("{{ if .Values.a }}x{{ else }}{{ .Values.b }}{{ end }}"), ["a", "b"]);
    }

    #[test]
    fn a_section_that_is_only_entered_is_not_read() {
        assert_eq!(paths("{{ with .Values.a }}x{{ end }}"), Vec::<String>::new());
    }

    #[test]
    fn text_and_comments_name_no_value() {
        assert_eq!(paths("{{/* .Values.a */}}{{ fail \".Values.b\" }}"), Vec::<String>::new());
    }
}
