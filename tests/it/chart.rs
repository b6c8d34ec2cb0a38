//! The chart, as far as it can be judged without Helm: its schema is the application's, and every
//! value is used, declared and described. `make test-chart` renders it.

mod schema;
mod templates;
mod values;

use std::{fs, path::PathBuf};

use granit_parser::{Event, Parser, StrInput};
use serde_json::{Map, Value};

/// The chart's folder.
fn chart() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("helm/vomsis-connect")
}

fn text(path: &str) -> String {
    let path = chart().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(path: &str) -> Value {
    serde_json::from_str(&text(path)).unwrap()
}

/// The values: maps, lists, and every scalar as text.
fn yaml(path: &str) -> Value {
    let text = text(path);
    let mut events = Parser::new_from_str(&text);
    loop {
        match next(&mut events) {
            Event::StreamStart | Event::DocumentStart(..) => {}
            event => return node(event, &mut events),
        }
    }
}

type Events<'text> = Parser<'text, StrInput<'text>>;

fn next<'text>(events: &mut Events<'text>) -> Event<'text> {
    events.next_event().expect("the text ends too early").expect("not YAML").0
}

fn node<'text>(event: Event<'text>, events: &mut Events<'text>) -> Value {
    match event {
        Event::Scalar(text, ..) => Value::String(text.into_owned()),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match next(events) {
                    Event::SequenceEnd => return Value::Array(items),
                    event => items.push(node(event, events)),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut entries = Map::new();
            loop {
                match next(events) {
                    Event::MappingEnd => return Value::Object(entries),
                    Event::Scalar(key, ..) => {
                        let event = next(events);
                        let twice = entries.insert(key.clone().into_owned(), node(event, events));
                        assert!(twice.is_none(), "{key} stands twice");
                    }
                    event => panic!("a key that is no text: {event:?}"),
                }
            }
        }
        event => panic!("not expected in values: {event:?}"),
    }
}
