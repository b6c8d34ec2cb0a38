//! Subjects, versions and compatibility, without HTTP.

use std::collections::BTreeMap;

use apache_avro::{
    Schema,
    schema_compatibility::{Compatibility, SchemaCompatibility},
};
use serde_json::Value;

/// How a new schema must stand to the older ones of its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// Anything goes.
    None,
    /// The new one reads what the last one wrote.
    #[default]
    Backward,
    /// The new one reads what any older one wrote.
    BackwardTransitive,
    /// The last one reads what the new one writes.
    Forward,
    /// Every older one reads what the new one writes.
    ForwardTransitive,
    /// Both ways, with the last one.
    Full,
    /// Both ways, with every older one.
    FullTransitive,
}

impl Level {
    const ALL: [(Self, &'static str); 7] = [
        (Self::None, "NONE"),
        (Self::Backward, "BACKWARD"),
        (Self::BackwardTransitive, "BACKWARD_TRANSITIVE"),
        (Self::Forward, "FORWARD"),
        (Self::ForwardTransitive, "FORWARD_TRANSITIVE"),
        (Self::Full, "FULL"),
        (Self::FullTransitive, "FULL_TRANSITIVE"),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(level, _)| *level == self).map_or("NONE", |(_, name)| name)
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(level, _)| level)
    }

    const fn is_transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }

    fn holds(self, new: &Schema, old: &Schema) -> Result<(), String> {
        let reads = |writer, reader| match SchemaCompatibility::can_read(writer, reader) {
            Ok(Compatibility::Full) => Ok(()),
            // Whether such values can be read depends on the data; no registry promises that.
            Ok(Compatibility::Partial) => Err("only some values could be read".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        match self {
            Self::None => Ok(()),
            Self::Backward | Self::BackwardTransitive => reads(old, new),
            Self::Forward | Self::ForwardTransitive => reads(new, old),
            Self::Full | Self::FullTransitive => reads(old, new).and_then(|()| reads(new, old)),
        }
    }
}

/// One schema; white space apart, its text is its identity.
#[derive(Debug)]
struct Content {
    compact: String,
    text: String,
    parsed: Schema,
}

/// A schema as a subject has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Versioned {
    pub(super) id: usize,
    pub(super) version: usize,
    pub(super) text: String,
}

/// Why the registry refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    SubjectUnknown(String),
    VersionUnknown(String),
    SchemaUnknown,
    SchemaInvalid(String),
    VersionInvalid(String),
    LevelInvalid,
    LevelUnset(String),
    Incompatible(String, String),
}

/// The registry's memory.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// The id of a content is its place plus one.
    contents: Vec<Content>,
    /// Ids of each subject's versions; the version is the place plus one.
    subjects: BTreeMap<String, Vec<usize>>,
    level: Level,
    levels: BTreeMap<String, Level>,
}

fn compact(text: &str) -> Result<(String, Schema), Refusal> {
    let invalid = |detail: String| Refusal::SchemaInvalid(detail);
    let value: Value = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    let parsed = Schema::parse(&value).map_err(|error| invalid(error.to_string()))?;
    Ok((value.to_string(), parsed))
}

impl Store {
    /// Gives a subject a schema, unless it breaks the subject's rule; answers the id.
    pub(super) fn register(&mut self, subject: &str, text: &str) -> Result<usize, Refusal> {
        let (compact, parsed) = compact(text)?;
        if let Some(found) = self.find(subject, &compact) {
            return Ok(found.id);
        }
        self.check(subject, &parsed)
            .map_err(|reason| Refusal::Incompatible(subject.to_owned(), reason))?;
        let known = self.contents.iter().position(|content| content.compact == compact);
        let id = known.map_or(self.contents.len() + 1, |place| place + 1);
        if known.is_none() {
            self.contents.push(Content { compact, text: text.to_owned(), parsed });
        }
        self.subjects.entry(subject.to_owned()).or_default().push(id);
        Ok(id)
    }

    fn find(&self, subject: &str, compact: &str) -> Option<Versioned> {
        let ids = self.subjects.get(subject)?;
        let place = ids.iter().position(|id| self.contents[id - 1].compact == compact)?;
        self.versioned(ids, place)
    }

    fn versioned(&self, ids: &[usize], place: usize) -> Option<Versioned> {
        let id = *ids.get(place)?;
        Some(Versioned { id, version: place + 1, text: self.contents[id - 1].text.clone() })
    }

    fn ids(&self, subject: &str) -> Result<&Vec<usize>, Refusal> {
        let unknown = || Refusal::SubjectUnknown(subject.to_owned());
        self.subjects.get(subject).ok_or_else(unknown)
    }

    /// The version under which a subject has a schema.
    pub(super) fn lookup(&self, subject: &str, text: &str) -> Result<Versioned, Refusal> {
        self.ids(subject)?;
        let (compact, _) = compact(text)?;
        self.find(subject, &compact).ok_or(Refusal::SchemaUnknown)
    }

    pub(super) fn subjects(&self) -> Vec<&String> {
        self.subjects.keys().collect()
    }

    pub(super) fn versions(&self, subject: &str) -> Result<Vec<usize>, Refusal> {
        Ok((1..=self.ids(subject)?.len()).collect())
    }

    /// `latest`, `-1` or a number from 1.
    pub(super) fn version(&self, subject: &str, version: &str) -> Result<Versioned, Refusal> {
        let ids = self.ids(subject)?;
        let number = match version {
            "latest" | "-1" => ids.len(),
            text => text.parse().map_err(|_| Refusal::VersionInvalid(text.to_owned()))?,
        };
        let place = number.checked_sub(1);
        let place = place.ok_or_else(|| Refusal::VersionInvalid(version.to_owned()))?;
        let unknown = || Refusal::VersionUnknown(version.to_owned());
        self.versioned(ids, place).ok_or_else(unknown)
    }

    /// The text behind an id.
    pub(super) fn schema(&self, id: usize) -> Result<&str, Refusal> {
        let place = id.checked_sub(1).ok_or(Refusal::SchemaUnknown)?;
        self.contents.get(place).map(|content| &*content.text).ok_or(Refusal::SchemaUnknown)
    }

    /// Where an id stands: subjects and versions.
    pub(super) fn uses(&self, id: usize) -> Vec<(&String, usize)> {
        let subjects = self.subjects.iter();
        let used = subjects.flat_map(|(subject, ids)| {
            ids.iter().zip(1..).map(move |(used, version)| (subject, version, *used))
        });
        used.filter(|(_, _, used)| *used == id).map(|(name, version, _)| (name, version)).collect()
    }

    pub(super) const fn level(&self) -> Level {
        self.level
    }

    pub(super) const fn set_level(&mut self, level: Level) {
        self.level = level;
    }

    pub(super) fn subject_level(&self, subject: &str) -> Result<Level, Refusal> {
        let unset = || Refusal::LevelUnset(subject.to_owned());
        self.levels.get(subject).copied().ok_or_else(unset)
    }

    pub(super) fn set_subject_level(&mut self, subject: &str, level: Level) {
        self.levels.insert(subject.to_owned(), level);
    }

    /// Whether a schema may follow in a subject; says why not.
    fn check(&self, subject: &str, new: &Schema) -> Result<(), String> {
        let level = self.levels.get(subject).copied().unwrap_or(self.level);
        let ids = self.subjects.get(subject).map_or(&[][..], |ids| ids);
        let count = if level.is_transitive() { ids.len() } else { 1 };
        let mut olds = ids.iter().rev().take(count).map(|id| &self.contents[id - 1].parsed);
        olds.try_for_each(|old| level.holds(new, old))
    }

    /// Whether a schema would be compatible with one version, or with what the rule asks for.
    ///
    /// The outer result is a refusal of the question, the inner one the answer.
    pub(super) fn compatible(
        &self,
        subject: &str,
        version: Option<&str>,
        text: &str,
    ) -> Result<Result<(), String>, Refusal> {
        let (_, parsed) = compact(text)?;
        let Some(version) = version else { return Ok(self.check(subject, &parsed)) };
        if version == "latest" && !self.subjects.contains_key(subject) {
            return Ok(Ok(()));
        }
        let old = self.version(subject, version)?;
        let level = self.levels.get(subject).copied().unwrap_or(self.level);
        Ok(level.holds(&parsed, &self.contents[old.id - 1].parsed))
    }
}
