//! Just enough reading of Rust to see which paths a file names.

use std::{fs, path::Path};

/// A source file: as it is, and without comments, literals and its test module.
#[derive(Debug)]
pub(super) struct Source {
    /// Below its folder, with `/`.
    pub(super) path: String,
    pub(super) whole: String,
    /// Without its test module.
    pub(super) production: String,
    pub(super) code: String,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let is_test = path.ends_with("tests.rs") || path.contains("tests/");
        let own = |text: &str| if is_test { String::new() } else { production(text) };
        Self {
            path: path.to_owned(),
            whole: blank(text),
            production: own(text),
            code: own(&blank(text)),
        }
    }

    /// The first part of the path: `api` for `api/quota.rs` and for `api.rs`.
    pub(super) fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or(&self.path);
        first.strip_suffix(".rs").unwrap_or(first)
    }

    pub(super) fn lines(&self) -> usize {
        self.whole.lines().count()
    }

    /// How many modules down from the crate's root the file's module is.
    fn depth(&self) -> usize {
        let parts = self.path.split('/').count();
        if self.path.ends_with("/mod.rs") { parts - 1 } else { parts }
    }
}

/// All Rust files of a folder of the crate; none at all fails the test.
pub(super) fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    if root.exists() {
        walk(&root, &root, &mut found);
        assert!(!found.is_empty(), "no Rust file in {folder}");
    } else {
        assert_ne!(folder, "src", "no src folder in {}", root.display());
    }
    found
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            found.push(Source::new(name, &fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The text with comments and literals as spaces, line for line.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        for byte in out.get_mut(at..end).unwrap_or_default() {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let find = |needle: &[u8], from: usize| {
        let tail = rest.get(from..).unwrap_or_default();
        let found = tail.windows(needle.len()).position(|window| window == needle);
        at + from + found.map_or(tail.len(), |found| found + needle.len())
    };
    match rest {
        [b'/', b'/', ..] => find(b"\n", 2),
        [b'/', b'*', ..] => find(b"*/", 2),
        [b'r', b'"' | b'#', ..] if !after_identifier(bytes, at) => {
            let hashes = rest.iter().skip(1).take_while(|byte| **byte == b'#').count();
            if rest.get(1 + hashes) != Some(&b'"') {
                return at;
            }
            let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
            find(&close, 2 + hashes)
        }
        [b'"', ..] => at + quoted(rest, b'"'),
        [b'\'', b'\\', ..] => at + quoted(rest, b'\''),
        [b'\'', _, b'\'', ..] => at + 3,
        _ => at,
    }
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(&byte) = rest.get(at) {
        at += if byte == b'\\' { 2 } else { 1 };
        if byte == quote {
            break;
        }
    }
    at.min(rest.len())
}

fn after_identifier(bytes: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| bytes.get(before));
    before.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Everything before a `#[cfg(test)]` that opens a module in the file.
fn production(code: &str) -> String {
    let mut lines = code.lines().peekable();
    let mut kept = String::new();
    while let Some(line) = lines.next() {
        let opens = |next: &&str| next.trim_start().starts_with("mod ") && next.contains('{');
        if line == "#[cfg(test)]" && lines.peek().is_some_and(opens) {
            break;
        }
        kept += line;
        kept.push('\n');
    }
    kept
}

/// Every path in the code as its parts, with its line: those of a `{}` group one by one.
fn paths(code: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut groups: Vec<Vec<String>> = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut joined = false; // a `::` stands before what comes next
    for (number, line) in code.lines().enumerate() {
        let mut characters = line.chars().chain(['\n']).peekable();
        while let Some(c) = characters.next() {
            if c.is_alphanumeric() || c == '_' {
                word.push(c);
                continue;
            }
            if !word.is_empty() {
                if !joined && !path.is_empty() {
                    path.clear();
                }
                if path.is_empty() {
                    path = groups.last().cloned().unwrap_or_default();
                }
                path.push(std::mem::take(&mut word));
                joined = false;
                found.push((number + 1, path.clone()));
            }
            match c {
                ':' if characters.peek() == Some(&':') => {
                    characters.next();
                    joined = true;
                }
                '{' => {
                    groups.push(if joined { path.clone() } else { Vec::new() });
                    path.clear();
                    joined = false;
                }
                '}' => {
                    groups.pop();
                    path.clear();
                }
                c if c.is_whitespace() => {}
                _ => {
                    path.clear();
                    joined = false;
                }
            }
        }
    }
    found
}

/// The rooms that a file names, with the lines: by `crate::`, the crate's name or enough `super::`.
pub(super) fn rooms_of(source: &Source, known: &[&str]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, path) in paths(&source.code) {
        let supers = path.iter().take_while(|part| *part == "super").count();
        let room = match path.first().map(String::as_str) {
            Some("crate" | "vomsis_connect") => path.get(1),
            Some("super") if supers >= source.depth() => path.get(supers),
            _ => None,
        };
        let last = path.last();
        // a path is reported once, when the walk has just come to the room's name
        if let Some(room) = room.filter(|room| known.contains(&room.as_str()))
            && last == Some(room)
        {
            found.push((line, room.clone()));
        }
    }
    found
}

/// The lines on which the code names a path such as `reqwest` or `std::fs`, as a path's beginning.
pub(super) fn mentions(source: &Source, name: &str) -> Vec<usize> {
    let wanted: Vec<&str> = name.split("::").collect();
    let single = wanted.len() == 1;
    let text: Vec<&str> = source.code.lines().collect();
    let mut found = Vec::new();
    for (line, path) in paths(&source.code) {
        let ends_with = path.len() >= wanted.len()
            && path.iter().skip(path.len() - wanted.len()).zip(&wanted).all(|(a, b)| a == b);
        // a crate is a path's first part and is imported or followed by `::`
        let here = text.get(line - 1).copied().unwrap_or_default();
        let is_crate = || path.len() == 1 && names_crate(here, name);
        if ends_with && (!single || is_crate()) {
            found.push(line);
        }
    }
    found.dedup();
    found
}

/// Whether a line uses `name` as a crate, not as a local variable or field of that name.
fn names_crate(line: &str, name: &str) -> bool {
    line.contains(&format!("{name}::"))
        || line.trim_start().trim_start_matches("pub ").starts_with("use ")
}
