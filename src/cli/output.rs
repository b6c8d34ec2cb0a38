//! What every reading command prints: a table for people, JSON or YAML for programs.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    ops::{Deref, DerefMut},
};

use comfy_table::{ColumnConstraint, ContentArrangement, presets};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::Value;

use super::{Context, Exit, Failure};

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON value; events that flow are one a line.
    Json,
    /// One YAML document.
    Yaml,
}

/// Columns for people, whose lines end with their last word: blanks after it would only break long
/// lines and show up in a file.
#[derive(Debug)]
pub struct Table(comfy_table::Table);

impl Deref for Table {
    type Target = comfy_table::Table;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Table {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.trim_fmt())
    }
}

/// A table with these columns, as wide as the terminal allows.
pub fn table(columns: &[&str]) -> Table {
    let mut table = Table(comfy_table::Table::new());
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if !io::stdout().is_terminal() {
        table.force_no_tty();
    }
    table.set_header(columns.iter().map(|column| column.to_uppercase()));
    table
}

/// The same with every cell whole: names, times and numbers are worth nothing when they are broken,
/// so a narrow terminal wraps whole lines.
pub fn unbroken_table(columns: &[&str]) -> Table {
    let mut table = table(columns);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// The same with these columns whole, as they hold names; the others wrap their words.
pub fn table_of_names(columns: &[&str], whole: &[usize]) -> Table {
    let mut table = table(columns);
    for column in whole {
        if let Some(column) = table.column_mut(*column) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table
}

/// Whether a table with every cell whole is wider than the terminal; elsewhere none is too wide.
pub fn is_too_wide(table: &Table) -> bool {
    table.width().is_some_and(|width| widest(table) > usize::from(width))
}

/// The characters of its longest line.
pub fn widest(table: &Table) -> usize {
    table.to_string().lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

/// Prints a value in the form that was asked for; the table is only made where it is.
pub fn print<T: Serialize>(
    context: &Context,
    value: &T,
    table: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let text = match context.output.unwrap_or_default() {
        Format::Table => table(),
        Format::Json => json(value)?,
        Format::Yaml => yaml(value)?,
    };
    write(&text)
}

/// Refuses every other form than lines of JSON, for what flows.
pub fn only_lines(context: &Context, verb: &str) -> Result<(), Failure> {
    match context.output {
        None | Some(Format::Json) => Ok(()),
        Some(Format::Table | Format::Yaml) => {
            let message = format!("{verb} prints lines of JSON, it has no other form");
            Err(Failure::new(Exit::Usage, message).hint("leave -o away"))
        }
    }
}

/// Writes text to stdout, with a line end.
pub fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        stdout.write_all(b"\n")?;
    }
    Ok(stdout.flush()?)
}

/// One of many lines that flow: whole for a program, cut to the width of a terminal for people.
pub fn fit(line: &str) -> String {
    terminal().map_or_else(|| line.to_owned(), |width| cut(line, width))
}

/// The width of the terminal; none where stdout is no terminal.
pub fn terminal() -> Option<usize> {
    comfy_table::Table::new().width().map(usize::from)
}

/// A text with at most that many characters.
pub fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Asks on the terminal; where nobody sits at one, what was asked for is done.
pub fn confirmed(question: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(true);
    }
    eprint!("{question}\ngo on? [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// As indented JSON.
pub fn json<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map_err(unprintable)
}

/// As JSON in one line.
pub fn json_line<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(unprintable)
}

/// As YAML.
pub fn yaml<T: Serialize>(value: &T) -> Result<String, Failure> {
    let value = serde_json::to_value(value).map_err(unprintable)?;
    serde_saphyr::to_string(&Plain(&value)).map_err(unprintable)
}

fn unprintable(error: impl fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("cannot print the result: {error}"))
}

/// A JSON value whose numbers other formats understand: with arbitrary precision they are
/// otherwise a private structure of `serde_json`.
struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_none(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::String(text) => serializer.serialize_str(text),
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(value), ..) => serializer.serialize_i64(value),
                (_, Some(value), _) => serializer.serialize_u64(value),
                (.., Some(value)) => serializer.serialize_f64(value),
                (None, None, None) => serializer.collect_str(number),
            },
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Plain(item))?;
                }
                list.end()
            }
            Value::Object(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, &Plain(value))?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_shows_numbers_as_numbers() {
        let value = serde_json::json!({"shards": 8, "ratio": 0.2, "ids": [1], "none": null});
        let text = yaml(&value).unwrap();
        assert!(text.contains("shards: 8\n") && text.contains("ratio: 0.2\n"), "{text}");
        assert!(text.contains("none: null"), "{text}");
    }

    #[test]
    fn no_line_of_a_table_ends_with_blanks() {
        let mut table = table(&["key", "value"]);
        table.add_row(["a", "a long one"]).add_row(["b", ""]);
        let text = format!("{table}\n");
        assert!(text.lines().all(|line| line.trim_end() == line), "{text:?}");
        assert!(text.contains("a long one") && table.to_string() == text.trim_end_matches('\n'));
    }

    #[test]
    fn names_stay_whole_however_narrow_the_terminal_is() {
        let mut table = table_of_names(&["name", "words"], &[0]);
        table.set_width(30);
        table.add_row(["vomsis.reference.terminals", "a few words that wrap"]);
        let text = table.to_string();
        assert!(text.contains("vomsis.reference.terminals"), "{text}");
        assert!(text.lines().count() > 2, "{text}");
        let mut table = unbroken_table(&["name", "words"]);
        table.add_row(["vomsis.reference.terminals", "a few words"]);
        table.set_width(40);
        assert!(!is_too_wide(&table), "{}", widest(&table));
        table.set_width(39);
        assert!(is_too_wide(&table), "{}", widest(&table));
    }

    #[test]
    fn a_line_is_cut_where_the_terminal_ends() {
        assert_eq!(cut("ödeme", 5), "ödeme");
        assert_eq!(cut("ödemeler", 5), "ödem…");
    }

    #[test]
    fn a_table_has_its_columns_in_capitals() {
        let mut table = table(&["key", "value"]);
        table.add_row(["a", "1"]);
        assert!(table.to_string().contains("KEY"));
    }
}
