//! What leaves the process: the configured treatment of classes and fields, and cards always masked.
//!
//! The classes are read from the schemas, so this table and the published schema cannot disagree.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

use crate::{
    config::model::{Privacy, Treatment},
    domain::{
        content::Content,
        fields::FieldMut,
        ids::Stream,
        meta::EventMeta,
        schemas::{self, RecordSchema},
        warnings::Warning,
    },
    mapping::{card, map::known_fields, patterns, raw},
};

/// Fields that are dropped unless the configuration names them.
const DROPPED_BY_DEFAULT: &[&str] = &["TosPayment.receiver_father_name"];
/// Classes that a rule may name; X never gets here.
const CLASSES: &str = "NCIPFK";
const HIDDEN: &str = "***";
/// Bytes of an HMAC key: identity numbers have 11 digits, so a short one could be found by trying.
pub const KEY_BYTES_MIN: usize = 32;

/// Why a privacy configuration cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRules {
    /// A class that no field has.
    #[error("privacy class {0} is unknown, use one of N, C, I, P, F, K")]
    UnknownClass(char),
    /// A field that no record has.
    #[error("privacy field {0} is unknown, write it as Record.field with the names of the schemas")]
    UnknownField(String),
    /// A number that cannot be null and is no text.
    #[error(
        "{0} is required and is no text, so it can only be clear: \
         set privacy.fields to clear for each of them, or leave their class clear"
    )]
    Fixed(String),
    /// `hmac` without a key.
    #[error(
        "privacy uses hmac, set privacy.hmac_key_file to a file with {KEY_BYTES_MIN} or more random bytes"
    )]
    MissingKey,
    /// A key that can be guessed, and with it every short number that was hashed.
    #[error(
        "the key in privacy.hmac_key_file has {0} bytes, its line end not counted; write \
         {KEY_BYTES_MIN} or more random bytes into the file"
    )]
    ShortKey(usize),
    /// A schema of this build that cannot be read.
    #[error("the schema of {0} has no readable fields")]
    BrokenSchema(&'static str),
}

/// The treatment of every field of every record; built once.
#[derive(Debug)]
pub struct PrivacyRules {
    records: BTreeMap<&'static str, Vec<Rule>>,
    extras: Treatment,
    key: Option<SecretSlice<u8>>,
}

/// What happens to one field.
#[derive(Debug, Clone)]
struct Rule {
    name: String,
    position: usize,
    class: char,
    is_iban: bool,
    treatment: Treatment,
}

impl Rule {
    /// Whether the rule can change anything: cards hide in P, F and K.
    const fn is_idle(&self) -> bool {
        matches!(self.treatment, Treatment::Clear) && !matches!(self.class, 'P' | 'F' | 'K')
    }
}

impl PrivacyRules {
    /// Joins the configuration with the classes of the schemas. The key is the file as it is; one
    /// line end at its end does not belong to it.
    ///
    /// # Errors
    /// Where the configuration names what does not exist, wants `hmac` without a key or with a
    /// short one, or would take away a number that the schema requires.
    pub fn new(privacy: &Privacy, hmac_key: Option<SecretSlice<u8>>) -> Result<Self, InvalidRules> {
        if let Some(class) = privacy.classes.keys().find(|class| !CLASSES.contains(**class)) {
            return Err(InvalidRules::UnknownClass(*class));
        }
        let key = hmac_key.map(without_line_end).filter(|key| !key.expose_secret().is_empty());
        let mut by_config = privacy.classes.values().chain(privacy.fields.values());
        if by_config.any(|t| *t == Treatment::Hmac) {
            let length = key.as_ref().map(|key| key.expose_secret().len());
            match length.ok_or(InvalidRules::MissingKey)? {
                KEY_BYTES_MIN.. => {}
                length => return Err(InvalidRules::ShortKey(length)),
            }
        }
        let mut known = Vec::new();
        let mut fixed = Vec::new();
        let mut records = BTreeMap::new();
        for schema in schemas::ALL {
            let fields =
                schema_fields(schema.json).ok_or(InvalidRules::BrokenSchema(schema.name))?;
            let rules = rules_of(schema.name, &fields, privacy, &mut known, &mut fixed);
            records.insert(schema.name, rules);
        }
        if let Some(field) = privacy.fields.keys().find(|field| !known.contains(*field)) {
            return Err(InvalidRules::UnknownField(field.clone()));
        }
        if !fixed.is_empty() {
            return Err(InvalidRules::Fixed(fixed.join(", ")));
        }
        let extras = privacy.classes.get(&'F').copied().unwrap_or(Treatment::Clear);
        Ok(Self { records, extras, key })
    }

    /// Treats every field of a record whose meta is already set; adds CARD_REMASKED to its
    /// warnings, and says so, where it masked a card further than it came.
    pub fn apply(&self, content: &mut Content<'_>) -> bool {
        let mut remasked = false;
        for rule in self.records.get(content.record_name()).into_iter().flatten() {
            if let Some(field) = content.field_mut(rule.position) {
                remasked |= self.treat(rule, field);
            }
        }
        let meta = content.meta_mut();
        remasked |= self.treat_extras(meta);
        if remasked {
            meta.warnings.insert(Warning::CardRemasked);
        }
        remasked
    }

    /// Treats the masked row of a [`Rejection`](crate::mapping::Rejection): a field that events do
    /// not show is not shown in quarantine either. A hash there is made of the masked text.
    pub fn apply_to_raw(&self, stream: Stream, masked: &str) -> String {
        let schema = RecordSchema::of(stream);
        let rules = self.records.get(schema.name).map_or(&[] as &[Rule], Vec::as_slice);
        raw::treat_row(masked, known_fields(stream), &|field, text| {
            let rule = rules.iter().find(|rule| rule.name == field.target);
            match rule.map(|rule| (rule, rule.treatment)) {
                None | Some((_, Treatment::Clear)) => Some(text.to_owned()),
                Some((_, Treatment::Drop)) => None,
                Some((rule, Treatment::Mask)) => Some(masked_text(rule, text)),
                Some((_, Treatment::Hmac)) => Some(self.hmac(text)),
            }
        })
    }

    fn treat(&self, rule: &Rule, field: FieldMut<'_, '_>) -> bool {
        match field {
            FieldMut::Text(text) => self.treat_text(rule, text),
            FieldMut::OptionalText(text) => {
                if rule.treatment == Treatment::Drop {
                    *text = None;
                }
                text.as_mut().is_some_and(|text| self.treat_text(rule, text))
            }
            FieldMut::Clearable(value) => {
                // Numbers, times and words have no mask or hash that keeps their type.
                if rule.treatment != Treatment::Clear {
                    value.clear();
                }
                false
            }
            FieldMut::Tags(tags) => {
                if rule.treatment == Treatment::Drop {
                    tags.clear();
                }
                let names = tags.iter_mut().filter_map(|tag| tag.name.as_mut());
                names.fold(false, |any, name| self.treat_text(rule, name) | any)
            }
            FieldMut::Fixed => false,
        }
    }

    /// Masks cards first, so that neither a mask nor a hash is ever made of a whole one.
    fn treat_text(&self, rule: &Rule, text: &mut Cow<'_, str>) -> bool {
        let remasked = match rule.class {
            'K' => remask_field(text),
            'P' | 'F' => remask_runs(text),
            _ => false,
        };
        match rule.treatment {
            Treatment::Clear => {}
            Treatment::Drop => *text = Cow::Borrowed(""),
            Treatment::Mask => *text = Cow::Owned(masked_text(rule, text)),
            Treatment::Hmac => *text = Cow::Owned(self.hmac(text)),
        }
        remasked
    }

    fn treat_extras(&self, meta: &mut EventMeta<'_>) -> bool {
        if self.extras == Treatment::Drop {
            meta.extras.clear();
        }
        let rule = Rule {
            name: String::new(),
            position: 0,
            class: 'F',
            is_iban: false,
            treatment: self.extras,
        };
        let mut remasked = false;
        let mut names = BTreeSet::new();
        for (name, value) in &mut meta.extras {
            remasked |= card::mask_runs(name).is_some();
            // Nobody knows this field, so its words are what its readers want to know.
            let shown = patterns::free(name);
            if shown != *name.as_ref() {
                *name = Cow::Owned(shown);
            }
            // Two of them may look alike now, and a map has each name once.
            if names.contains(name.as_ref()) {
                let numbered = (2_u32..).map(|nth| format!("{name}#{nth}"));
                let free = numbered.into_iter().find(|numbered| !names.contains(numbered.as_str()));
                *name = Cow::Owned(free.unwrap_or_default());
            }
            names.insert(name.as_ref().to_owned());
            remasked |= self.treat_text(&rule, value);
        }
        remasked
    }

    /// HMAC-SHA256 in hex: equal texts stay equal, in whatever field they stand.
    fn hmac(&self, text: &str) -> String {
        let key = self.key.as_ref().map_or(&[] as &[u8], |key| key.expose_secret());
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return HIDDEN.to_owned() };
        mac.update(text.as_bytes());
        let digest = mac.finalize().into_bytes();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Editors end a file with a line end, secret stores do not: the pseudonyms must not depend on it.
fn without_line_end(key: SecretSlice<u8>) -> SecretSlice<u8> {
    let bytes = key.expose_secret();
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    SecretSlice::from(bytes.to_vec())
}

fn masked_text(rule: &Rule, text: &str) -> String {
    match rule.class {
        'I' if rule.is_iban => raw::iban(text),
        'I' | 'N' | 'C' => raw::tail(text),
        _ => HIDDEN.to_owned(),
    }
}

fn remask_field(text: &mut Cow<'_, str>) -> bool {
    let (masked, hidden) = card::mask_field(Cow::Borrowed(text.as_ref()));
    if hidden {
        *text = Cow::Owned(masked.into_owned());
    }
    hidden
}

fn remask_runs(text: &mut Cow<'_, str>) -> bool {
    match card::mask_runs(text) {
        Some(masked) => {
            *text = Cow::Owned(masked);
            true
        }
        None => false,
    }
}

/// A field as the schema describes it.
struct SchemaField {
    name: String,
    class: char,
    is_fixed: bool,
}

fn schema_fields(json: &str) -> Option<Vec<SchemaField>> {
    let schema: serde_json::Value = serde_json::from_str(json).ok()?;
    schema.get("fields")?.as_array()?.iter().map(schema_field).collect()
}

fn schema_field(field: &serde_json::Value) -> Option<SchemaField> {
    let kind = field.get("type")?;
    let is_text = kind.as_str() == Some("string");
    let is_nullable = kind.is_array();
    let is_array = kind.get("type").and_then(|inner| inner.as_str()) == Some("array");
    Some(SchemaField {
        name: field.get("name")?.as_str()?.to_owned(),
        class: field.get("pii")?.as_str()?.chars().next()?,
        is_fixed: !is_text && !is_nullable && !is_array,
    })
}

fn rules_of(
    record: &str,
    fields: &[SchemaField],
    privacy: &Privacy,
    known: &mut Vec<String>,
    fixed: &mut Vec<String>,
) -> Vec<Rule> {
    let mut rules = Vec::new();
    let content = fields.iter().filter(|field| field.name != "meta");
    for (position, field) in content.enumerate() {
        let path = format!("{record}.{}", field.name);
        let default = if DROPPED_BY_DEFAULT.contains(&path.as_str()) {
            Some(Treatment::Drop)
        } else {
            privacy.classes.get(&field.class).copied()
        };
        let treatment = privacy.fields.get(&path).copied().or(default).unwrap_or(Treatment::Clear);
        if field.is_fixed && treatment != Treatment::Clear {
            fixed.push(path.clone());
        }
        let is_iban = field.name.contains("iban");
        let name = field.name.clone();
        let rule = Rule { name, position, class: field.class, is_iban, treatment };
        if !rule.is_idle() {
            rules.push(rule);
        }
        known.push(path);
    }
    rules
}

#[cfg(test)]
mod tests;
