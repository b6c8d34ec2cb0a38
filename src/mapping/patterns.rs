//! What looks like a person's number or address in a text, however it is written: masked wherever
//! only masked text may stand.
//!
//! What only looks like a number of its own (an amount, a date, a reference) stays readable: each
//! search below asks for a length, a check digit or a grouping that those do not have.

use crate::mapping::{
    card::{self, is_blank, is_mark},
    checks, text,
};

/// Two letters and the length of each country's IBANs.
const IBAN_LENGTHS: &str = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BR29BY28CH21CR22CY28CZ24DE22DK18DO28EE20EG29\
     ES24FI18FO18FR27GB22GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21\
     LT20LU20LV21LY25MC27MD24ME22MK19MR27MT31MU30NL18NO15PK24PL28PS29PT25QA29RO24RS22SA24SC31SE24\
     SI19SK24SM27ST25SV28TL23TN24TR26UA29VA22VG24XK20";
/// The shortest IBAN of any country, the longest, and the digits that one has at least.
const IBAN_MIN: usize = 15;
const IBAN_MAX: usize = 34;
const IBAN_DIGITS_MIN: usize = 10;
/// Groups in which IBANs are printed.
const IBAN_GROUP: usize = 4;
/// Shorter runs of digits are no identity, tax or telephone number.
const DIGITS_MIN: usize = 9;
/// Characters between two groups of one number.
const JOINT_MAX: usize = 3;
const NATIONAL_ID: usize = 11;
/// Letters that stand beside a figure: a currency, `T` and `Z` of a time, a slip of the hand.
const LETTERS_MAX: usize = 3;
/// Words that systems write where a figure belongs; a person reads from them what went wrong.
const FIGURE_WORDS: [&str; 29] = [
    "try",
    "tl",
    "usd",
    "eur",
    "gbp",
    "null",
    "none",
    "undefined",
    "nan",
    "infinity",
    "true",
    "false",
    "evet",
    "hayir",
    "yok",
    "bos",
    "aktif",
    "pasif",
    "active",
    "passive",
    "unknown",
    "turk",
    "lira",
    "lirasi",
    "dolar",
    "dollar",
    "euro",
    "sterlin",
    "altin",
];

/// A free text whose cards, accounts, identities, telephones, mail addresses and other long
/// numbers are masked.
pub(crate) fn free(text: &str) -> String {
    hide_digit_runs(&known(text))
}

/// A code or a name of things: as [`free`], but a long number that is none of those is a reference
/// and stays; of several words none is shown, since they may be a person's name.
pub(super) fn code(text: &str) -> String {
    hide_words(&known(text))
}

/// A figure: a number, an instant, a flag or a currency. It has no words, so none are shown.
pub(super) fn figure(text: &str) -> String {
    hide_letters(&known(text))
}

/// The name of a field of a row in quarantine that nobody knows.
pub(super) fn name(text: &str) -> String {
    hide_words(&free(text))
}

/// Mail addresses first, then IBANs: part of one may look like a card, and would hide the rest.
fn known(text: &str) -> String {
    if text.len() < IBAN_MIN && !text.contains('@') && !text.bytes().any(|b| b.is_ascii_digit()) {
        return text.to_owned();
    }
    let text = hide_ibans(&hide_mail(text));
    let text = card::mask_runs(&text).unwrap_or(text);
    hide_grouped(&text)
}

/// `a.b@example.com` is `***`.
fn hide_mail(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('@') {
        let is_part =
            |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-' | '\'');
        let kept = before.trim_end_matches(is_part);
        let left =
            after.trim_start_matches(|c: char| c.is_alphanumeric() || matches!(c, '.' | '-'));
        if kept.len() == before.len() || left.len() == after.len() {
            out.push_str(before);
            out.push('@');
            rest = after;
        } else {
            out.push_str(kept);
            out.push_str("***");
            rest = left;
        }
    }
    out + rest
}

/// Where the joint ends that begins here; the place itself where another character of the number
/// stands there, nothing where the number has ended.
fn next_of(chars: &[char], at: usize, belongs: impl Fn(char) -> bool) -> Option<usize> {
    let mut marks = 0;
    for (count, c) in chars.get(at..)?.iter().enumerate() {
        if belongs(*c) {
            return Some(at + count);
        }
        marks += usize::from(is_mark(*c));
        if count >= JOINT_MAX || marks > 1 || !(is_mark(*c) || is_blank(*c)) {
            return None;
        }
    }
    None
}

/// Accounts keep four characters at either end, in whatever groups they are written.
fn hide_ibans(text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        match iban_places(&chars, at) {
            Some(places) => {
                at = places.last().map_or(at, |last| *last) + 1;
                let hidden = places.len().saturating_sub(4);
                places.iter().take(hidden).skip(4).for_each(|place| chars[*place] = '*');
            }
            None => at += 1,
        }
    }
    chars.into_iter().collect()
}

/// The places of the characters of an IBAN that begins here.
fn iban_places(chars: &[char], start: usize) -> Option<Vec<usize>> {
    let letter = |at: usize| chars.get(at).is_some_and(char::is_ascii_alphabetic);
    if !letter(start) || !letter(start + 1) {
        return None;
    }
    let mut places = vec![start];
    while places.len() < IBAN_MAX
        && let Some(next) =
            places.last().and_then(|last| next_of(chars, last + 1, |c| c.is_ascii_alphanumeric()))
    {
        places.push(next);
    }
    let digit = |nth: usize| places.get(nth).is_some_and(|at| chars[*at].is_ascii_digit());
    // `TR 33 …` is written so; of other countries' letters too many are words.
    let is_joined = places.get(..4).is_some_and(is_tight);
    let is_turkish = (chars[start], chars[start + 1]) == ('T', 'R');
    if !digit(2) || !digit(3) || !(is_joined || is_turkish) {
        return None;
    }
    let begins = start == 0 || !chars[start - 1].is_ascii_alphanumeric();
    let ends = |count: usize| {
        let last = places.get(count - 1).copied().unwrap_or(start);
        !chars.get(last + 1).is_some_and(char::is_ascii_alphanumeric)
    };
    if let Some(length) = iban_length(chars[start], chars[start + 1])
        && let Some(whole) = places.get(..length)
    {
        let is_right = has_iban_check(whole.iter().map(|at| chars[*at]));
        let is_shaped = begins && ends(length) && (is_tight(whole) || is_in_fours(whole));
        if is_right || (is_shaped && digits_of(chars, whole) >= IBAN_DIGITS_MIN) {
            return Some(whole.to_vec());
        }
    }
    // A digit too many or too few, or a country that is none: what is grouped as one is one.
    let count = (begins && is_joined).then(|| mistaken_length(chars, &places))?;
    let whole = places.get(..count)?;
    (count >= IBAN_MIN && digits_of(chars, whole) >= IBAN_DIGITS_MIN).then(|| whole.to_vec())
}

fn iban_length(first: char, second: char) -> Option<usize> {
    let country = [first, second].map(|c| c.to_ascii_uppercase());
    let mut entries = IBAN_LENGTHS.as_bytes().chunks_exact(4);
    let entry =
        entries.find(|entry| country.iter().zip(*entry).all(|(c, b)| *c == char::from(*b)))?;
    Some(usize::from(entry[2] - b'0') * 10 + usize::from(entry[3] - b'0'))
}

fn digits_of(chars: &[char], places: &[usize]) -> usize {
    places.iter().filter(|at| chars[**at].is_ascii_digit()).count()
}

/// Whether no joint stands between these places.
fn is_tight(places: &[usize]) -> bool {
    places.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

/// Whether joints stand between groups of four, and nowhere else.
fn is_in_fours(places: &[usize]) -> bool {
    places
        .windows(2)
        .enumerate()
        .all(|(nth, pair)| (pair[1] != pair[0] + 1) == (nth + 1).is_multiple_of(IBAN_GROUP))
}

/// How many places belong together where the length is wrong: one word, words of digits behind it,
/// or groups of four.
fn mistaken_length(chars: &[char], places: &[usize]) -> usize {
    let goes_on = |nth: usize| {
        let (Some(last), Some(next)) = (places.get(nth - 1), places.get(nth)) else { return false };
        let one_blank = *next == last + 2 && chars[last + 1] == ' ';
        *next == last + 1 || (one_blank && chars[*next].is_ascii_digit())
    };
    let by_words = (1..).find(|nth| !goes_on(*nth)).unwrap_or(1);
    let fours = (1..=places.len()).take_while(|count| {
        // A group that is not the last is whole.
        places.get(..*count).is_some_and(is_in_fours)
    });
    by_words.max(fours.last().unwrap_or(1))
}

/// Whether the number, its first four characters put last, leaves 1 when divided by 97.
fn has_iban_check(iban: impl Iterator<Item = char> + Clone) -> bool {
    let turned = iban.clone().skip(4).chain(iban.take(4));
    let rest = turned.fold(0, |rest: u32, c| match c.to_digit(36) {
        Some(value @ 0..=9) => (rest * 10 + value) % 97,
        Some(value) => (rest * 100 + value) % 97,
        None => 0,
    });
    rest == 1
}

/// Telephones are hidden whole, identity numbers show their last four digits.
fn hide_grouped(text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        let begins = chars[at].is_ascii_digit() && (at == 0 || !chars[at - 1].is_ascii_digit());
        let groups = if begins { groups_from(&chars, at) } else { Vec::new() };
        if let Some(count) = telephone(&chars, &groups) {
            groups.iter().take(count).flatten().for_each(|place| chars[*place] = '*');
        } else if let Some(count) = national_id(&chars, &groups) {
            let places: Vec<usize> = groups.iter().take(count).flatten().copied().collect();
            places.iter().take(NATIONAL_ID - 4).for_each(|place| chars[*place] = '*');
        }
        at += groups.first().map_or(1, Vec::len);
    }
    chars.into_iter().collect()
}

/// The places of the digits from here on, a vector a group.
fn groups_from(chars: &[char], start: usize) -> Vec<Vec<usize>> {
    let is_digit = |c: char| c.is_ascii_digit();
    let mut groups: Vec<Vec<usize>> = vec![Vec::new()];
    let mut at = start;
    loop {
        let end = (at..).find(|at| !chars.get(*at).is_some_and(char::is_ascii_digit)).unwrap_or(at);
        if let Some(group) = groups.last_mut() {
            group.extend(at..end);
        }
        // Brackets around a prefix count as blanks do.
        let behind = (end..end + 2).find(|at| !matches!(chars.get(*at), Some('(' | ')')));
        let Some(next) = behind.and_then(|at| next_of(chars, at, |c| is_digit(c) || c == '('))
        else {
            return groups;
        };
        at = next + usize::from(chars[next] == '(');
        if at == end
            || !chars.get(at).is_some_and(char::is_ascii_digit)
            || groups.len() > NATIONAL_ID
        {
            return groups;
        }
        groups.push(Vec::new());
    }
}

/// How many of these groups are a telephone number.
///
/// | prefix | then |
/// |---|---|
/// | `0`, `90`, `0090`, joined to the area or not | area of three digits, then `3 2 2`, `3 4`, `7`, `2 2 3` |
/// | none | the same in groups, `3 2 2` or `3 4` |
/// | `05` in one word of 11 digits, `905`, `00905` | |
/// | `+` of any country | 10 to 15 digits |
fn telephone(chars: &[char], groups: &[Vec<usize>]) -> Option<usize> {
    let first = groups.first()?;
    let start = *first.first()?;
    let before = start.checked_sub(1).map(|at| chars[at]);
    if before.is_some_and(char::is_alphanumeric) {
        return None;
    }
    let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
    let word: String = first.iter().map(|at| chars[*at]).collect();
    let is_area = |area: &str| area.len() == 3 && matches!(area.as_bytes()[0], b'2'..=b'5' | b'8');
    let rest = |from: usize, shapes: &[&[usize]]| {
        let found =
            shapes.iter().find(|shape| sizes.get(from..from + shape.len()) == Some(**shape));
        found.map(|shape| from + shape.len())
    };
    let behind: [&[usize]; 4] = [&[3, 2, 2], &[3, 4], &[7], &[2, 2, 3]];
    for prefix in ["0090", "90", "0"] {
        let Some(number) = word.strip_prefix(prefix) else { continue };
        if number.len() == 10 && number.starts_with('5') {
            return Some(1);
        }
        let second: String = groups.get(1).into_iter().flatten().map(|at| chars[*at]).collect();
        if number.is_empty() && is_area(&second) {
            return rest(2, &behind);
        }
        // `0 5321234567`
        if number.is_empty() && second.len() == 10 && second.starts_with('5') {
            return Some(2);
        }
        if is_area(number)
            && let Some(count) = rest(1, &behind)
        {
            return Some(count);
        }
    }
    if is_area(&word)
        && let Some(count) = rest(1, &behind[..2])
    {
        return Some(count);
    }
    if before != Some('+') {
        return None;
    }
    let totals = sizes.iter().scan(0, |total, size| {
        *total += size;
        Some(*total)
    });
    let count = totals.take_while(|total| *total <= 15).filter(|total| *total >= 10).count();
    let short = sizes.iter().scan(0, |total, size| {
        *total += size;
        Some(*total)
    });
    (count > 0).then(|| short.take_while(|total| *total < 10).count() + count)
}

/// How many of these groups are a national identity number.
fn national_id(chars: &[char], groups: &[Vec<usize>]) -> Option<usize> {
    let mut digits = String::new();
    let mut sizes = Vec::new();
    for group in groups {
        digits.extend(group.iter().map(|at| chars[*at]));
        sizes.push(group.len());
        if digits.len() >= NATIONAL_ID {
            break;
        }
    }
    // A date and what stands behind it.
    let is_dated = sizes.windows(3).any(|three| matches!(three, [4, 2, 2] | [2, 2, 4]))
        || sizes.first() == Some(&8);
    (!is_dated && checks::is_national_id(&digits)).then_some(sizes.len())
}

/// Runs of nine digits and more show their last four.
fn hide_digit_runs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let plain = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (before, from) = rest.split_at(plain);
        let run = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        let (digits, after) = from.split_at(run);
        let hidden = if run >= DIGITS_MIN { run - 4 } else { 0 };
        out.push_str(before);
        out.extend(std::iter::repeat_n('*', hidden));
        out.push_str(digits.get(hidden..).unwrap_or_default());
        rest = after;
    }
    out
}

const fn is_combining(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

/// The words of a text that has more than one; words with digits in them, or joined by `_`, are
/// codes.
fn hide_words(text: &str) -> String {
    let in_word = |c: char| {
        c.is_alphanumeric() || is_combining(c) || matches!(c, '_' | '-' | '*' | '\'' | '’')
    };
    let is_name = |word: &&str| {
        word.chars().any(char::is_alphabetic)
            && !word.chars().any(|c| c.is_numeric() || matches!(c, '_' | '*'))
    };
    let names: Vec<&str> = text.split(|c: char| !in_word(c)).filter(is_name).collect();
    if names.len() < 2 {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for part in text.split_inclusive(|c: char| !in_word(c)) {
        let word = part.trim_end_matches(|c: char| !in_word(c));
        if is_name(&word) {
            push_hidden(&mut out, part);
        } else {
            out.push_str(part);
        }
    }
    out
}

/// The letters of a figure, where there are more than belong to one.
fn hide_letters(text: &str) -> String {
    if text.chars().filter(|c| c.is_alphabetic()).count() <= LETTERS_MAX {
        return text.to_owned();
    }
    let in_word = |c: char| c.is_alphabetic() || is_combining(c);
    let is_shown = |word: &str| {
        text::Folded::of(word).is_some_and(|folded| FIGURE_WORDS.contains(&folded.as_str()))
    };
    let mut out = String::with_capacity(text.len());
    for part in text.split_inclusive(|c: char| !in_word(c)) {
        if is_shown(part.trim_end_matches(|c: char| !in_word(c))) {
            out.push_str(part);
        } else {
            push_hidden(&mut out, part);
        }
    }
    out
}

fn push_hidden(out: &mut String, part: &str) {
    let shown = |c: char| if c.is_alphabetic() || is_combining(c) { '*' } else { c };
    out.extend(part.chars().map(shown));
}

#[cfg(test)]
#[path = "patterns_tests.rs"]
mod tests;
