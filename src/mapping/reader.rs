//! Asking a row's fields for typed values; whatever cannot be read says why and in which field.

use std::borrow::Cow;

use crate::{
    domain::{
        money::{InvalidDecimal, Money, Rate},
        time::{Day, Timestamp},
        vocabulary::RejectionReason,
        warnings::{Warning, Warnings},
    },
    mapping::{
        card, checks, dates,
        json::{Fields, Key, Scalar},
    },
};

/// Why a row cannot become a record; never holds the value.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) reason: RejectionReason,
    pub(super) field: &'static str,
    pub(super) detail: Cow<'static, str>,
}

impl Problem {
    /// A required field that is absent, null or blank.
    pub(super) fn missing(field: &'static str) -> Self {
        let detail = Cow::Borrowed("required, but absent, null or blank");
        Self { reason: RejectionReason::MissingField, field, detail }
    }

    fn new(reason: RejectionReason, field: &'static str, detail: &'static str) -> Self {
        Self { reason, field, detail: Cow::Borrowed(detail) }
    }

    /// The same, with another reason.
    fn because(self, reason: RejectionReason) -> Self {
        Self { reason, ..self }
    }
}

type Read<T> = Result<Option<T>, Problem>;

/// The fields of one row and the warnings that reading them gave.
pub(super) struct Reader<'r, 'a> {
    fields: &'r Fields<'a>,
    pub(super) warnings: Warnings,
}

/// A currency code and the text that it was made from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Currency<'a> {
    pub(super) code: Cow<'a, str>,
    pub(super) raw: Cow<'a, str>,
}

impl<'r, 'a> Reader<'r, 'a> {
    pub(super) fn new(fields: &'r Fields<'a>) -> Self {
        let mut warnings = Warnings::NONE;
        if fields.duplicate {
            warnings.insert(Warning::DuplicateJsonKey);
        }
        Self { fields, warnings }
    }

    /// The raw JSON of a field; empty where it is absent.
    pub(super) fn raw<K: Key>(&self, key: K) -> &'a str {
        self.fields.raw(key.position())
    }

    fn scalar<K: Key>(&mut self, key: K) -> Scalar<'a> {
        if let Some(text) = self.fields.plain_text(key.position()) {
            return Scalar::Text(Cow::Borrowed(text));
        }
        let (scalar, replaced) = Scalar::of(self.raw(key));
        if replaced {
            self.warnings.insert(Warning::ReplacedText);
        }
        scalar
    }

    /// The text of a string, number or flag; blank is nothing, and nothing is trimmed.
    pub(super) fn text<K: Key>(&mut self, key: K) -> Read<Cow<'a, str>> {
        match self.scalar(key) {
            Scalar::Absent | Scalar::Null => Ok(None),
            Scalar::Text(text) if text.chars().all(char::is_whitespace) => Ok(None),
            Scalar::Text(text) => Ok(Some(text)),
            Scalar::Number(digits) => Ok(Some(Cow::Borrowed(digits))),
            Scalar::Bool(flag) => Ok(Some(Cow::Borrowed(if flag { "true" } else { "false" }))),
            Scalar::Other(_) => Err(Problem::new(
                RejectionReason::InvalidType,
                key.name(),
                "an array or object where a text was expected",
            )),
        }
    }

    /// A text, or the problem that it is missing.
    pub(super) fn required_text<K: Key>(&mut self, key: K) -> Result<Cow<'a, str>, Problem> {
        self.text(key)?.ok_or_else(|| Problem::missing(key.name()))
    }

    /// The first of several fields that has a text.
    pub(super) fn first_text<K: Key>(&mut self, keys: &[K]) -> Read<Cow<'a, str>> {
        for key in keys {
            if let Some(text) = self.text(*key)? {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// An integer, as a number or a text.
    pub(super) fn integer<K: Key, T: std::str::FromStr>(&mut self, key: K) -> Read<T> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        match text.trim().parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(Problem::new(
                RejectionReason::InvalidType,
                key.name(),
                "not an integer, or one that is too large",
            )),
        }
    }

    /// A text that is only shown: an array or object in its place is nothing, with the warning that
    /// names the field. A movement must not be missing for the sake of its description.
    pub(super) fn shown_text<K: Key>(&mut self, key: K, warning: Warning) -> Option<Cow<'a, str>> {
        self.text(key).unwrap_or_else(|_| self.unreadable(warning))
    }

    /// A place in an order that is only shown, `1.0` for 1 included; anything else is nothing, with
    /// the warning that names the field.
    pub(super) fn shown_order<K: Key, T: std::str::FromStr>(
        &mut self,
        key: K,
        warning: Warning,
    ) -> Option<T> {
        let text = match self.text(key) {
            Ok(text) => text?,
            Err(_) => return self.unreadable(warning),
        };
        whole_number(text.trim()).parse().ok().or_else(|| self.unreadable(warning))
    }

    /// A number that is only shown: anything else in its place is nothing, with the warning that names
    /// the field.
    pub(super) fn shown_integer<K: Key, T: std::str::FromStr>(
        &mut self,
        key: K,
        warning: Warning,
    ) -> Option<T> {
        self.integer(key).unwrap_or_else(|_| self.unreadable(warning))
    }

    fn unreadable<T>(&mut self, warning: Warning) -> Option<T> {
        self.warnings.insert(warning);
        None
    }

    /// An id: an integer, whose failure is INVALID_ID.
    pub(super) fn id<K: Key>(&mut self, key: K) -> Read<i64> {
        self.integer(key).map_err(|problem| problem.because(RejectionReason::InvalidId))
    }

    /// An id, or the problem that it is missing.
    pub(super) fn required_id<K: Key>(&mut self, key: K) -> Result<i64, Problem> {
        self.id(key)?.ok_or_else(|| Problem::missing(key.name()))
    }

    /// A flag: `true`, `1`, `"true"` and their opposites.
    pub(super) fn flag<K: Key>(&mut self, key: K) -> Read<bool> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        match text.trim() {
            "1" => Ok(Some(true)),
            "0" => Ok(Some(false)),
            word if word.eq_ignore_ascii_case("true") => Ok(Some(true)),
            word if word.eq_ignore_ascii_case("false") => Ok(Some(false)),
            _ => Err(Problem::new(RejectionReason::InvalidType, key.name(), "not a flag")),
        }
    }

    /// An amount of money; what is not a plain decimal is never guessed at.
    pub(super) fn money<K: Key>(&mut self, key: K) -> Read<Money> {
        self.decimal(key, Money::parse)
    }

    /// A percentage.
    pub(super) fn rate<K: Key>(&mut self, key: K) -> Read<Rate> {
        self.decimal(key, Rate::parse)
    }

    fn decimal<K: Key, T>(
        &mut self,
        key: K,
        parse: impl Fn(&str) -> Result<T, InvalidDecimal>,
    ) -> Read<T> {
        let invalid = RejectionReason::InvalidAmount;
        let text = self.text(key).map_err(|problem| problem.because(invalid))?;
        let Some(text) = text else { return Ok(None) };
        match parse(text.trim()) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(Problem {
                reason: invalid,
                field: key.name(),
                detail: Cow::Owned(error.to_string()),
            }),
        }
    }

    /// A currency code: upper case, TL as TRY.
    pub(super) fn currency<K: Key>(&mut self, key: K) -> Read<Currency<'a>> {
        let Some(raw) = self.text(key)? else { return Ok(None) };
        let Some(code) = currency_code(&raw) else {
            return Err(Problem::new(
                RejectionReason::UnsupportedCurrency,
                key.name(),
                "not a currency code of three letters or digits",
            ));
        };
        Ok(Some(Currency { code, raw }))
    }

    /// An instant and the text that it was read from.
    pub(super) fn time<K: Key>(&mut self, key: K) -> Result<LocalText<'a>, Problem> {
        let text = self.text(key)?;
        let at = text.as_deref().and_then(|text| dates::timestamp(text, &mut self.warnings));
        Ok(LocalText { at, text })
    }

    /// A day and the text that it was read from.
    pub(super) fn day<K: Key>(
        &mut self,
        key: K,
    ) -> Result<(Option<Day>, Option<Cow<'a, str>>), Problem> {
        let text = self.text(key)?;
        let day = text.as_deref().and_then(|text| dates::day(text, &mut self.warnings));
        Ok((day, text))
    }

    /// The number of a card, masked whatever the source left of it.
    pub(super) fn card<K: Key>(&mut self, key: K) -> Read<Cow<'a, str>> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let (masked, hidden) = card::mask_field(text);
        if hidden {
            self.warnings.insert(Warning::CardRemasked);
        }
        Ok(Some(masked))
    }

    /// An IBAN, tidied and checked.
    pub(super) fn iban<K: Key>(&mut self, key: K) -> Read<Cow<'a, str>> {
        Ok(self.text(key)?.map(|text| checks::iban(text, &mut self.warnings)))
    }

    /// Warns about a text that looks like a Turkish IBAN and is none.
    pub(super) fn check_iban(&mut self, text: &str) {
        checks::iban(Cow::Borrowed(text), &mut self.warnings);
    }

    /// A national identity number, checked.
    pub(super) fn national_id<K: Key>(&mut self, key: K) -> Read<Cow<'a, str>> {
        let text = self.text(key)?;
        if let Some(text) = &text {
            checks::national_id(text, &mut self.warnings);
        }
        Ok(text)
    }

    /// A tax number, checked.
    pub(super) fn tax_no<K: Key>(&mut self, key: K) -> Read<Cow<'a, str>> {
        let text = self.text(key)?;
        if let Some(text) = &text {
            checks::tax_no(text, &mut self.warnings);
        }
        Ok(text)
    }
}

/// `1.0` is exactly 1; any other digit behind the point stays there and is no integer.
fn whole_number(text: &str) -> &str {
    let zeros = |fraction: &str| !fraction.is_empty() && fraction.bytes().all(|byte| byte == b'0');
    text.split_once('.').filter(|(_, fraction)| zeros(fraction)).map_or(text, |(whole, _)| whole)
}

/// An instant, and the source's own text of it.
#[derive(Debug)]
pub(super) struct LocalText<'a> {
    pub(super) at: Option<Timestamp>,
    pub(super) text: Option<Cow<'a, str>>,
}

/// `try ` is TRY, `TL` is TRY; a code has three letters or digits.
fn currency_code<'a>(raw: &Cow<'a, str>) -> Option<Cow<'a, str>> {
    let trimmed = raw.trim();
    if trimmed.eq_ignore_ascii_case("TL") {
        return Some(Cow::Borrowed("TRY"));
    }
    if trimmed.len() != 3 || !trimmed.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    // The usual codes cost no allocation.
    for known in ["TRY", "USD", "EUR", "GBP"] {
        if trimmed.eq_ignore_ascii_case(known) {
            return Some(Cow::Borrowed(known));
        }
    }
    Some(Cow::Owned(trimmed.to_ascii_uppercase()))
}
