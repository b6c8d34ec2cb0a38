//! `/metrics`, read as Prometheus reads it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use super::http;

/// One series and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// One scrape.
#[derive(Debug, Clone)]
pub(crate) struct Scrape {
    pub(crate) samples: Vec<Sample>,
    /// Metric → type.
    pub(crate) types: BTreeMap<String, String>,
}

impl Scrape {
    /// Asks a listener.
    #[track_caller]
    pub(crate) fn of(address: SocketAddr) -> Self {
        let answer = http::get(address, "/metrics").expect("the listener answers");
        assert_eq!(answer.status, 200);
        Self::parse(&answer.body)
    }

    /// Reads the text format; anything that is not in it fails the test.
    pub(crate) fn parse(text: &str) -> Self {
        let (mut samples, mut types) = (Vec::new(), BTreeMap::new());
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a name and a type");
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
            } else if !line.starts_with('#') {
                samples.push(sample(line));
            }
        }
        Self { samples, types }
    }

    /// The series of this name whose labels include these.
    pub(crate) fn of_name<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| sample.name == name && sample.has(labels))
    }

    /// The value of the one series with these labels.
    #[track_caller]
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let found: Vec<_> = self.of_name(name, labels).collect();
        assert_eq!(found.len(), 1, "{name}{labels:?}: {found:?}");
        found[0].value
    }

    /// The sum over all series that have these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.of_name(name, labels).map(|sample| sample.value).sum()
    }

    /// Names and labels without values.
    pub(crate) fn series(&self) -> BTreeSet<(String, BTreeMap<String, String>)> {
        self.samples.iter().map(|sample| (sample.name.clone(), sample.labels.clone())).collect()
    }
}

impl Sample {
    fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels.iter().all(|(name, value)| self.labels.get(*name).is_some_and(|own| own == value))
    }
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value in {line:?}"));
    let value = value.parse().unwrap_or_else(|e| panic!("{e} in {line:?}"));
    let Some((name, rest)) = series.split_once('{') else {
        return Sample { name: series.to_owned(), labels: BTreeMap::new(), value };
    };
    let inside = rest.strip_suffix('}').unwrap_or_else(|| panic!("no brace in {line:?}"));
    Sample { name: name.to_owned(), labels: labels(inside), value }
}

/// `a="x",b="y \"z\""`
fn labels(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while let Some((name, quoted)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        let end = loop {
            match characters.next().expect("a closing quote") {
                (at, '"') => break at,
                (_, '\\') => match characters.next().expect("an escaped character").1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        assert!(found.insert(name.to_owned(), value).is_none(), "{name} twice in {text}");
        rest = quoted.split_at(end + 1).1.trim_start_matches(',');
    }
    found
}

#[test]
fn the_text_format_is_read_with_escapes_and_without_labels() {
    let text = "# HELP a x\n# TYPE a counter\na{b=\"c,d=\\\"e\\\"\",f=\"\"} 1\ng 2.5e3\n";
    let scrape = Scrape::parse(text);
    assert_eq!(scrape.types["a"], "counter");
    assert_eq!(scrape.samples[0].labels["b"], "c,d=\"e\"");
    assert!((scrape.value("a", &[("f", "")]) - 1.0).abs() < f64::EPSILON);
    assert!((scrape.value("g", &[]) - 2500.0).abs() < f64::EPSILON);
}
