//! YAML as a tree of texts with their places.
//!
//! Scalars stay the text that was written: `max_amount: 100.50` never meets a float, and
//! `code: 0006624` keeps its zeros. What a text means is decided by the shape that reads it.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle};

use super::error::Origin;

/// Aliases may multiply a small file; no configuration of ours comes near this many values.
const NODES_MAX: usize = 200_000;

/// One value and where it was written.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Origin,
    pub(crate) value: Value,
}

/// What kind of value it is.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// `plain` is false for quoted and block texts, which are never null, numbers or booleans.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// In the order of the file; keys are unique.
    Map(Vec<(Key, Node)>),
}

/// A key and where it was written.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) at: Origin,
}

/// Why the text is not a tree.
#[derive(Debug)]
pub(crate) struct Malformed {
    pub(crate) at: Origin,
    pub(crate) message: String,
}

impl Node {
    pub(crate) fn plain(at: Origin, text: &str) -> Self {
        Self { at, value: Value::Scalar { text: text.to_owned(), plain: true } }
    }

    pub(crate) fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar { text, plain: true } => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            Value::Scalar { plain: false, .. } | Value::List(_) | Value::Map(_) => false,
        }
    }

    /// The node at a path, or the deepest one above it that was written.
    pub(crate) fn nearest(&self, path: &[Step<'_>]) -> &Self {
        let Some((first, rest)) = path.split_first() else { return self };
        let below = match (&self.value, first) {
            (Value::Map(entries), Step::Key(key)) => {
                entries.iter().find(|(k, _)| k.text == *key).map(|(_, node)| node)
            }
            (Value::List(items), Step::Index(index)) => items.get(*index),
            _ => None,
        };
        below.map_or(self, |node| node.nearest(rest))
    }

    fn count(&self) -> usize {
        1 + match &self.value {
            Value::Scalar { .. } => 0,
            Value::List(items) => items.iter().map(Self::count).sum(),
            Value::Map(entries) => entries.iter().map(|(_, node)| node.count()).sum(),
        }
    }
}

/// One step of a path into the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// Reads one YAML document; an empty text is an empty map.
pub(crate) fn parse(text: &str) -> Result<Node, Malformed> {
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
        last: Origin::File { line: 1, column: 1 },
    };
    let mut root = None;
    while let Some((event, at)) = reader.next()? {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(..) if root.is_none() => {}
            Event::DocumentStart(..) => {
                let message = "a second document starts here; keep one".to_owned();
                return Err(Malformed { at, message });
            }
            event => root = Some(reader.node(event, at)?),
        }
    }
    let start = Origin::File { line: 1, column: 1 };
    Ok(match root {
        Some(root) if !root.is_null() => root,
        Some(_) | None => Node { at: start, value: Value::Map(Vec::new()) },
    })
}

struct Reader<'input> {
    events: Parser<'input, granit_parser::StrInput<'input>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    last: Origin,
}

impl<'input> Reader<'input> {
    fn next(&mut self) -> Result<Option<(Event<'input>, Origin)>, Malformed> {
        let Some(next) = self.events.next_event() else { return Ok(None) };
        let (event, span) = next.map_err(|error| Malformed {
            at: place(error.marker()),
            message: format!("not valid YAML: {}", error.info()),
        })?;
        self.last = place(&span.start);
        Ok(Some((event, self.last.clone())))
    }

    fn within(&mut self) -> Result<(Event<'input>, Origin), Malformed> {
        let next = self.next()?;
        next.ok_or_else(|| Malformed {
            at: self.last.clone(),
            message: "not valid YAML: the text ends too early".to_owned(),
        })
    }

    fn node(&mut self, event: Event<'input>, at: Origin) -> Result<Node, Malformed> {
        self.charge(1, &at)?;
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                (anchor, Value::Scalar { text: text.into_owned(), plain })
            }
            Event::SequenceStart(_, anchor, _) => (anchor, Value::List(self.items()?)),
            Event::MappingStart(_, anchor, _) => (anchor, Value::Map(self.entries()?)),
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).cloned() else {
                    let message = "an alias may not stand inside its own anchor".to_owned();
                    return Err(Malformed { at, message });
                };
                self.charge(node.count(), &at)?;
                return Ok(Node { at, ..node });
            }
            _ => {
                let message = "not valid YAML: a value was expected".to_owned();
                return Err(Malformed { at, message });
            }
        };
        let node = Node { at, value };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self) -> Result<Vec<Node>, Malformed> {
        let mut items = Vec::new();
        loop {
            match self.within()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, at) => items.push(self.node(event, at)?),
            }
        }
    }

    fn entries(&mut self) -> Result<Vec<(Key, Node)>, Malformed> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let key = match self.within()? {
                (Event::MappingEnd, _) => return Ok(entries),
                (Event::Scalar(text, ..), at) => Key { text: text.into_owned(), at },
                (_, at) => {
                    let message = "a key must be a plain text".to_owned();
                    return Err(Malformed { at, message });
                }
            };
            if entries.iter().any(|(known, _)| known.text == key.text) {
                let message = format!("the key {:?} stands twice in one section", key.text);
                return Err(Malformed { at: key.at, message });
            }
            let (event, at) = self.within()?;
            let node = self.node(event, at)?;
            entries.push((key, node));
        }
    }

    fn charge(&mut self, nodes: usize, at: &Origin) -> Result<(), Malformed> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES_MAX {
            let message = format!("more than {NODES_MAX} values; remove aliases");
            return Err(Malformed { at: at.clone(), message });
        }
        Ok(())
    }
}

fn place(marker: &granit_parser::Marker) -> Origin {
    Origin::File { line: marker.line(), column: marker.col() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_keep_their_text_and_place() {
        let root = parse("a: 1\nb:\n  - 0006624\n  - 100.50\n").unwrap();
        let node = root.nearest(&[Step::Key("b"), Step::Index(1)]);
        assert_eq!(node.at, Origin::File { line: 4, column: 5 });
        assert!(matches!(&node.value, Value::Scalar { text, plain: true } if text == "100.50"));
    }

    #[test]
    fn a_repeated_key_is_refused_where_it_stands() {
        let error = parse("a: 1\na: 2\n").unwrap_err();
        assert_eq!(error.at, Origin::File { line: 2, column: 1 });
        assert!(error.message.contains("twice"));
    }

    #[test]
    fn aliases_copy_and_cannot_explode() {
        let root = parse("a: &x {k: v}\nb: *x\n").unwrap();
        let node = root.nearest(&[Step::Key("b"), Step::Key("k")]);
        assert!(matches!(&node.value, Value::Scalar { text, .. } if text == "v"));
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..9 {
            let below = format!("*a{},", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        assert!(parse(&bomb).unwrap_err().message.contains("remove aliases"));
    }

    #[test]
    fn an_empty_file_is_an_empty_map_and_a_second_document_is_refused() {
        assert!(
            matches!(parse("# nothing\n").unwrap().value, Value::Map(entries) if entries.is_empty())
        );
        assert!(parse("a: 1\n---\nb: 2\n").unwrap_err().message.contains("second document"));
    }

    #[test]
    fn broken_yaml_names_its_place() {
        let error = parse("a: [1\nb: 2\n").unwrap_err();
        assert!(matches!(error.at, Origin::File { line, .. } if line >= 1));
    }
}
