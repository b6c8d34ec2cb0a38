//! YAML as the tests look at it: maps, lists, and every scalar as its text.

use granit_parser::{Event, Parser, StrInput};
use serde_json::{Map, Value};

/// The first document. Scalars are not interpreted: `no` and `08` stay what somebody wrote.
///
/// # Panics
/// Where the text is no YAML, or a key stands twice.
#[track_caller]
pub(crate) fn read(text: &str) -> Value {
    let mut events = Parser::new_from_str(text);
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
        event => panic!("neither scalar, list nor map: {event:?}"),
    }
}
