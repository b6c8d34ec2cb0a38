//! Reads the layers: defaults, then the file, then the environment.

use std::{fs, path::Path};

use xxhash_rust::xxh3::xxh3_64;

use super::{
    de::{self, Misfit, What},
    env,
    error::{Error, Problem},
    model, shape,
    tree::{self, Malformed, Node, Value},
    validate::{self, Review},
};

/// Where the file is looked for when nobody says otherwise.
pub const DEFAULT_PATH: &str = "/etc/vomsis/config.yaml";
/// Unknown keys shown at once; more than that is another file.
const UNKNOWN_KEYS_MAX: usize = 20;

/// A configuration that can be relied on.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the program works with.
    pub config: model::Config,
    /// What is accepted and still worth a look.
    pub warnings: Vec<String>,
    /// Changes with every setting that is in force; 16 hexadecimal digits.
    pub hash: String,
    /// The same settings as they would be written.
    pub effective: shape::Config,
}

/// The variables of the process; one that is not UTF-8 cannot be ours.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Reads `path` and lays the variables of `env` that begin with `VOMSIS__` over it.
pub fn load(path: &Path, env: impl Iterator<Item = (String, String)>) -> Result<Loaded, Error> {
    let text = fs::read_to_string(path)
        .map_err(|cause| Error::Unreadable { path: path.to_owned(), cause })?;
    parse(&path.display().to_string(), &text, env)
}

/// As [`load`], for a text that stands somewhere else; `name` is what messages call it.
pub fn parse(
    name: &str,
    text: &str,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, Error> {
    let malformed = |Malformed { at, message }: Malformed| {
        Error::Invalid(vec![Problem::new(name, Some(&at), "", message)])
    };
    let mut root = tree::parse(text).map_err(malformed)?;
    env::overlay(&mut root, env).map_err(malformed)?;
    let mut effective = shape_of(name, &root)?;
    let mut review = Review::new(name, &root);
    validate::resolve(&mut effective, &mut review);
    let config = validate::config(&mut review, &effective);
    if !review.problems.is_empty() {
        return Err(Error::Invalid(review.problems));
    }
    let warnings = review.warnings;
    let canonical = serde_json::to_vec(&effective).unwrap_or_default();
    let hash = format!("{:016x}", xxh3_64(&canonical));
    Ok(Loaded { config, warnings, hash, effective })
}

/// Unknown keys are taken out and looked past, so that all of them are named at once.
fn shape_of(name: &str, root: &Node) -> Result<shape::Config, Error> {
    let mut problems = Vec::new();
    let mut rest = None;
    loop {
        let tree = rest.as_ref().unwrap_or(root);
        let misfit = match de::shape::<shape::Config>(tree) {
            Ok(shape) if problems.is_empty() => return Ok(shape),
            Ok(_) => return Err(Error::Invalid(problems)),
            Err(misfit) => misfit,
        };
        let message = explain(&misfit);
        problems.push(Problem::new(name, misfit.at.as_ref(), &misfit.path(), message));
        let mut pruned = tree.clone();
        let removed = match (&misfit.what, &misfit.at) {
            (What::UnknownKey { key, .. }, Some(at)) => {
                remove(&mut pruned, &|(k, _)| k.text == *key && k.at == *at)
            }
            _ => false,
        };
        if !removed || problems.len() >= UNKNOWN_KEYS_MAX {
            return Err(Error::Invalid(problems));
        }
        rest = Some(pruned);
    }
}

fn remove(node: &mut Node, wanted: &dyn Fn(&(tree::Key, Node)) -> bool) -> bool {
    match &mut node.value {
        Value::Scalar { .. } => false,
        Value::List(items) => items.iter_mut().any(|item| remove(item, wanted)),
        Value::Map(entries) => match entries.iter().position(wanted) {
            Some(index) => {
                entries.remove(index);
                true
            }
            None => entries.iter_mut().any(|(_, node)| remove(node, wanted)),
        },
    }
}

fn explain(misfit: &Misfit) -> String {
    let What::UnknownKey { key, known } = &misfit.what else { return misfit.to_string() };
    let file = format!("{key}_file");
    if known.contains(&file.as_str()) {
        return format!("{misfit}; secrets are read from files, write {file:?} with a path");
    }
    match nearest(key, known) {
        Some(near) => format!("{misfit}; did you mean {near:?}?"),
        None => format!("{misfit}; known here: {}", known.join(", ")),
    }
}

/// The known key that a hand slipping once or twice would have meant.
pub(crate) fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = key.to_ascii_lowercase().replace('-', "_");
    let likeness = |known: &&str| strsim::jaro_winkler(&lower, known);
    let best = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    let edits = strsim::damerau_levenshtein(&lower, best);
    (likeness(&best) > 0.85 || edits <= 2.max(key.len() / 4)).then_some(best)
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
