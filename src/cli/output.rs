//! What every reading command prints: a table for people, JSON or YAML for programs.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
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

/// A table with these columns, as wide as the terminal allows.
pub fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
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

/// Prints a value in the form that was asked for; the table is only made where it is.
pub fn print<T: Serialize>(
    context: &Context,
    value: &T,
    table: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let text = match context.output.unwrap_or_default() {
        Format::Table => without_blanks_at_ends(&table()),
        Format::Json => json(value)?,
        Format::Yaml => yaml(value)?,
    };
    write(&text)
}

/// The last column of a table is filled up to its widest cell, which is of no use to anybody.
fn without_blanks_at_ends(table: &str) -> String {
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
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

/// As YAML.
pub fn yaml<T: Serialize>(value: &T) -> Result<String, Failure> {
    let value = serde_json::to_value(value).map_err(unprintable)?;
    serde_saphyr::to_string(&Plain(&value)).map_err(unprintable)
}

fn unprintable(error: impl std::fmt::Display) -> Failure {
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
    fn a_table_has_its_columns_in_capitals() {
        let mut table = table(&["key", "value"]);
        table.add_row(["a", "1"]);
        assert!(table.to_string().contains("KEY"));
    }
}
