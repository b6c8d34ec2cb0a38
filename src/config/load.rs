//! Reads the layers: defaults, then the file, then the environment.

use std::{fs, path::Path};

use xxhash_rust::xxh3::xxh3_64;

use super::{
    de::{self, Misfit, Passed, What},
    env,
    error::{Error, Origin, Problem},
    model,
    properties::Property,
    shape,
    tree::{self, Malformed, Node},
    validate::{self, Review},
};

/// Where the file is looked for when nobody says otherwise.
pub const DEFAULT_PATH: &str = "/etc/vomsis/config.yaml";
/// Misfits shown at once; more than that is another file.
const MISFITS_MAX: usize = 30;

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
    /// The settings of librdkafka, which only the room that has it can judge.
    pub properties: Vec<Property>,
}

/// The variables of the process; one that is not UTF-8 cannot be ours.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Reads `path` and lays the variables of `env` that begin with `VOMSIS__` over it.
pub fn load(path: &Path, env: impl Iterator<Item = (String, String)>) -> Result<Loaded, Error> {
    let bytes =
        fs::read(path).map_err(|cause| Error::Unreadable { path: path.to_owned(), cause })?;
    let name = path.display().to_string();
    match std::str::from_utf8(&bytes) {
        Ok(text) => parse(&name, text, env),
        Err(error) => {
            let place = end_of(bytes.get(..error.valid_up_to()).unwrap_or_default());
            let message = "not UTF-8 text from here on; save the file as UTF-8".to_owned();
            Err(Error::Malformed(Problem::new(&name, Some(&place), "", message)))
        }
    }
}

/// The place behind a text.
fn end_of(text: &[u8]) -> Origin {
    let lines = || text.split(|byte| *byte == b'\n');
    let last = String::from_utf8_lossy(lines().next_back().unwrap_or_default()).chars().count();
    Origin::File { line: lines().count(), column: last + 1 }
}

/// As [`load`], for a text that stands somewhere else; `name` is what messages call it.
pub fn parse(
    name: &str,
    text: &str,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, Error> {
    let problem = |Malformed { at, message }: Malformed| Problem::new(name, Some(&at), "", message);
    let mut root = tree::parse(text).map_err(|found| Error::Malformed(problem(found)))?;
    let variables: Vec<(String, String)> = env.collect();
    let misspelt = env::misspelt(variables.iter().map(|(name, _)| name.as_str()));
    let misspelt: Vec<Problem> =
        misspelt.into_iter().map(|(at, message)| problem(Malformed { at, message })).collect();
    // What a variable was to say may be the very thing that is missing.
    let invalid = |found: Vec<Problem>| Error::Invalid([found, misspelt.clone()].concat());
    env::overlay(&mut root, variables.into_iter())
        .map_err(|found| invalid(vec![problem(found)]))?;
    let mut effective = shape_of(name, &root).map_err(&invalid)?;
    let mut review = Review::new(name, &root);
    validate::resolve(&mut effective, &mut review);
    let config = validate::config(&mut review, &effective);
    if !review.problems.is_empty() {
        return Err(invalid(review.problems));
    }
    let (mut warnings, properties) = (review.warnings, review.properties);
    warnings.extend(misspelt.iter().map(ToString::to_string));
    let canonical = serde_json::to_vec(&effective).unwrap_or_default();
    let hash = format!("{:016x}", xxh3_64(&canonical));
    Ok(Loaded { config, warnings, hash, effective, properties })
}

/// Each misfit is looked past, so that all of them are named at once.
fn shape_of(name: &str, root: &Node) -> Result<shape::Config, Vec<Problem>> {
    let mut found: Vec<(Option<Origin>, Problem)> = Vec::new();
    let mut passed = Passed::default();
    while found.len() < MISFITS_MAX {
        let misfit = match de::shape::<shape::Config>(root, &passed) {
            Ok(shape) if found.is_empty() => return Ok(shape),
            Ok(_) => break,
            Err(misfit) => misfit,
        };
        if !passed.pass(&misfit) {
            break;
        }
        if !follows(&misfit, &found) {
            let message = explain(&misfit);
            let problem = Problem::new(name, misfit.at.as_ref(), &misfit.path(), message);
            found.push((misfit.at, problem));
        }
    }
    found.sort_by_key(|(at, _)| match at {
        Some(Origin::File { line, column }) => (0, *line, *column),
        Some(Origin::Env(_)) | None => (1, 0, 0),
    });
    Err(found.into_iter().map(|(_, problem)| problem).collect())
}

/// Whether a key is only missing because its value was looked past.
fn follows(misfit: &Misfit, found: &[(Option<Origin>, Problem)]) -> bool {
    let What::Missing(key) = misfit.what else { return false };
    let section = misfit.path();
    let key = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
    found.iter().any(|(_, problem)| problem.key == key)
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
