//! What is done with fields before they leave the process: every rule must be one that is applied.

use super::Review;
use crate::{
    config::{model, shape, tree::Step},
    domain::schemas::{self, PAYMENT_COMMAND, QUARANTINED_ROW, ROW_DELETION},
};

/// Records that no rule reaches, with what helps instead.
const UNREACHED: [(&str, &str); 3] = [
    (QUARANTINED_ROW.name, "a quarantined row follows the rules of its own record: name its field"),
    (ROW_DELETION.name, "it holds ids and times only, which consumers need to delete the row"),
    (PAYMENT_COMMAND.name, "its sender writes it, and the connector only reads it"),
];

pub(super) fn privacy(review: &mut Review<'_>, shape: &shape::Privacy) -> model::Privacy {
    let treatment = |shape: shape::Treatment| match shape {
        shape::Treatment::Clear => model::Treatment::Clear,
        shape::Treatment::Mask => model::Treatment::Mask,
        shape::Treatment::Hmac => model::Treatment::Hmac,
        shape::Treatment::Drop => model::Treatment::Drop,
    };
    let mut privacy =
        model::Privacy { hmac_key_file: shape.hmac_key_file.clone(), ..Default::default() };
    for (class, given) in &shape.classes {
        let path = [Step::Key("privacy"), Step::Key("classes"), Step::Key(class)];
        match class.as_str() {
            "N" | "C" | "I" | "P" | "F" | "n" | "c" | "i" | "p" | "f" => {
                let class = class.chars().next().unwrap_or_default().to_ascii_uppercase();
                privacy.classes.insert(class, treatment(*given));
            }
            "K" | "k" if *given != shape::Treatment::Mask && *given != shape::Treatment::Drop => {
                review.refuse(&path, "card numbers are always masked; write mask or drop");
            }
            "K" | "k" => {
                privacy.classes.insert('K', treatment(*given));
            }
            _ => review.refuse(&path, "unknown class; write N, C, I, P, F or K"),
        }
    }
    for (written, given) in &shape.fields {
        let path = [Step::Key("privacy"), Step::Key("fields"), Step::Key(written)];
        let field = canonical(written);
        let named = field.split_once('.').is_some_and(|(r, f)| !r.is_empty() && !f.is_empty());
        if !named {
            review.refuse(&path, "write Record.field, such as BankTransaction.sender_name");
        }
        // `clear` is how these fields are, and takes them out of a rule for their class.
        if *given != shape::Treatment::Clear
            && let Some(why) = unreached(&field)
        {
            review.refuse(&path, format!("this rule would never be applied; {why}"));
        }
        privacy.fields.insert(field, treatment(*given));
    }
    let mut treatments = privacy.classes.values().chain(privacy.fields.values());
    if treatments.any(|t| *t == model::Treatment::Hmac) && privacy.hmac_key_file.is_none() {
        review.refuse(
            &[Step::Key("privacy"), Step::Key("hmac_key_file")],
            "hmac is used and has no key; write the path of a file with 32 or more random bytes",
        );
    }
    privacy
}

/// A field as the schemas write it: variables of the environment have small letters only.
fn canonical(written: &str) -> String {
    let Some((record, field)) = written.split_once('.') else { return written.to_owned() };
    let known = schemas::ALL.iter().find(|schema| schema.name.eq_ignore_ascii_case(record));
    known.map_or_else(
        || written.to_owned(),
        |schema| format!("{}.{}", schema.name, field.to_ascii_lowercase()),
    )
}

/// Why no rule reaches the field, where none does.
fn unreached(field: &str) -> Option<&'static str> {
    let (record, _) = field.split_once('.')?;
    UNREACHED.iter().find(|(name, _)| *name == record).map(|(_, why)| *why)
}
