//! Which forms of output each verb has, as `--help` and the completions tell it: one wording for each
//! set. Refusing the others is left to the verbs, which say what to do instead.

use clap::{
    Arg, Command, CommandFactory, ValueEnum as _,
    builder::{PossibleValuesParser, TypedValueParser as _},
};

use super::{Cli, output::Format};

/// What a verb prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forms {
    /// A result: a table for people, a value for programs.
    Result,
    /// The same, and one event a line where nobody reads it.
    Events,
    /// A document.
    Document,
    /// Lines of JSON.
    Lines,
    /// Nothing that has a form.
    None,
}

/// Of the verbs that do not print a result.
const OTHERS: [(&str, Forms); 9] = [
    ("run", Forms::None),
    ("completions", Forms::None),
    ("config init", Forms::None),
    ("config schema", Forms::Document),
    ("config show", Forms::Document),
    ("preview", Forms::Events),
    ("sandbox", Forms::Lines),
    ("tail", Forms::Lines),
    ("commands export", Forms::Lines),
];

impl Forms {
    fn of(path: &str) -> Self {
        OTHERS.iter().find(|(verb, _)| *verb == path).map_or(Self::Result, |(_, forms)| *forms)
    }

    const fn help(self) -> &'static str {
        match self {
            Self::Result => "The form of the result [default: table]",
            Self::Events => {
                "The form of the result [default: table on a terminal, else lines of JSON]"
            }
            Self::Document => "The form of the document",
            Self::Lines => "The form of what flows: lines of JSON, whole on a terminal too",
            Self::None => "Has no meaning here",
        }
    }

    const fn has(self, format: Format) -> bool {
        match (self, format) {
            (Self::Result | Self::Events, _)
            | (Self::Document, Format::Json | Format::Yaml)
            | (Self::Lines, Format::Json) => true,
            (Self::Document, Format::Table)
            | (Self::Lines, Format::Table | Format::Yaml)
            | (Self::None, _) => false,
        }
    }

    /// The argument as a verb of this kind has it.
    fn argument(self, global: &Arg) -> Arg {
        let values = Format::value_variants()
            .iter()
            .filter_map(|format| Some(format.to_possible_value()?.hide(!self.has(*format))));
        let parser = PossibleValuesParser::new(values)
            .try_map(|text: String| Format::from_str(&text, false));
        global
            .clone()
            .value_parser(parser)
            .help(self.help())
            .long_help(None)
            .hide(self == Self::None)
    }
}

/// The command line, where each verb names the forms that it has.
pub(super) fn command() -> Command {
    let mut command = Cli::command();
    let global = command.get_arguments().find(|argument| argument.get_id() == "output").cloned();
    if let Some(global) = global {
        command = command.mut_subcommands(|verb| told(verb, "", &global));
    }
    command
}

fn told(verb: Command, above: &str, global: &Arg) -> Command {
    let path = format!("{above} {}", verb.get_name()).trim_start().to_owned();
    if verb.has_subcommands() {
        return verb.mut_subcommands(|below| told(below, &path, global));
    }
    verb.arg(Forms::of(&path).argument(global))
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;

    fn help(verb: &[&str]) -> String {
        let line = ["x"].into_iter().chain(verb.iter().copied()).chain(["-h"]);
        command().try_get_matches_from(line).unwrap_err().to_string()
    }

    #[test]
    fn each_verb_lists_the_forms_that_it_has() {
        for (verb, listed) in [
            (&["topics", "plan"][..], "[default: table] [possible values: table, json, yaml]"),
            (&["status"], "[default: table] [possible values: table, json, yaml]"),
            (&["config", "schema"], "[possible values: json, yaml]"),
            (&["tail"], "[possible values: json]"),
            (&["commands", "export"], "[possible values: json]"),
        ] {
            let help = help(verb);
            let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains(listed), "{verb:?}: {help}");
        }
        assert!(!help(&["run"]).contains("--output") && help(&["run"]).contains("--config"));
        command().debug_assert();
    }

    #[test]
    fn a_form_is_read_before_and_behind_the_verb_and_left_to_it_to_refuse() {
        for line in [
            ["-o", "yaml", "config", "schema"],
            ["config", "-o", "yaml", "schema"],
            ["config", "schema", "-o", "yaml"],
        ] {
            let line = ["x"].into_iter().chain(line);
            let matches = command().try_get_matches_from(line).unwrap();
            assert_eq!(Cli::from_arg_matches(&matches).unwrap().output, Some(Format::Yaml));
        }
        let matches = command().try_get_matches_from(["x", "tail", "t", "-o", "table"]).unwrap();
        assert_eq!(Cli::from_arg_matches(&matches).unwrap().output, Some(Format::Table));
        assert!(command().try_get_matches_from(["x", "status", "-o", "xml"]).is_err());
    }

    #[test]
    fn every_verb_that_is_named_exists() {
        for (path, _) in OTHERS {
            let mut command = command();
            for name in path.split(' ') {
                command = command.find_subcommand(name).expect(path).clone();
            }
        }
    }
}
