//! What `RUST_LOG` asks for. A log that is silent looks like a program that is well, so whatever
//! cannot be followed is refused, and nothing in it is read as "nothing at all".

use std::ffi::OsStr;

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// The variable that says which lines are wanted.
const VARIABLE: &str = "RUST_LOG";
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// A word that is so few slips of the pen away from a level was meant to be one.
const SLIPS: usize = 1;

/// A `RUST_LOG` that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("RUST_LOG cannot be followed: {0}")]
pub struct Misspelt(String);

/// The filter that the environment asks for; `default` where it asks for none.
pub(super) fn of_environment(default: &str) -> Result<EnvFilter, Misspelt> {
    filter(std::env::var_os(VARIABLE).as_deref(), default)
}

/// The filter that a text asks for; `default` where it is blank, or not there.
fn filter(said: Option<&OsStr>, default: &str) -> Result<EnvFilter, Misspelt> {
    let Some(said) = said.unwrap_or_default().to_str() else {
        return Err(Misspelt("it is not UTF-8 text".to_owned()));
    };
    // Blanks are none of a level: with one behind it `info` would be a target that nobody has.
    let wanted: Vec<&str> = said.split(',').map(str::trim).filter(|one| !one.is_empty()).collect();
    if wanted.is_empty() {
        return Ok(EnvFilter::new(default));
    }
    for one in &wanted {
        if let Err(error) = EnvFilter::try_new(one) {
            return Err(Misspelt(format!("{one:?}: {error}")));
        }
        if let Some(level) = meant(one) {
            return Err(Misspelt(format!(
                "{one:?} is no level, did you mean {level:?}? a target of that name is {one}=trace"
            )));
        }
    }
    let wanted = wanted.join(",");
    EnvFilter::try_new(&wanted).map_err(|error| Misspelt(format!("{wanted:?}: {error}")))
}

/// The level that a word alone is a slip of; as the name of a target it would mute all others.
fn meant(word: &str) -> Option<&'static str> {
    if word.parse::<LevelFilter>().is_ok() {
        return None;
    }
    let word = word.to_ascii_lowercase();
    LEVELS.into_iter().find(|level| strsim::damerau_levenshtein(&word, level) <= SLIPS)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    fn shown(said: &str) -> String {
        match filter(Some(OsStr::new(said)), "warn") {
            Ok(filter) => filter.to_string(),
            Err(misspelt) => misspelt.to_string(),
        }
    }

    #[test]
    fn a_blank_text_asks_for_nothing_and_leaves_the_log_as_it_is() {
        assert_eq!(filter(None, "warn").unwrap().to_string(), "warn");
        for blank in ["", " ", "\n", ",", " , "] {
            assert_eq!(shown(blank), "warn", "{blank:?}");
        }
    }

    #[test]
    fn what_can_be_followed_is_whatever_blanks_stand_around_it() {
        assert_eq!(shown("info\n"), "info");
        assert_eq!(shown("DEBUG"), "debug");
        assert_eq!(shown("off"), "off");
        let both = shown("vomsis_connect=debug, warn");
        assert!(both.contains("vomsis_connect=debug") && both.contains("warn"), "{both}");
        assert_eq!(shown("librdkafka"), "librdkafka=trace");
    }

    #[test]
    fn what_cannot_be_followed_is_named_with_its_variable() {
        for (said, named) in [
            ("vomsis_connect=infoo", "\"vomsis_connect=infoo\""),
            ("warn,h2=many", "\"h2=many\""),
            ("infoo", "did you mean \"info\"? a target of that name is infoo=trace"),
            ("warn,eror", "did you mean \"error\""),
        ] {
            let shown = shown(said);
            assert!(shown.starts_with("RUST_LOG cannot be followed: "), "{shown}");
            assert!(shown.contains(named), "{shown}");
        }
        let latin = filter(Some(OsStr::from_bytes(b"caf\xe9")), "warn").unwrap_err();
        assert!(latin.to_string().contains("not UTF-8"), "{latin}");
    }
}
