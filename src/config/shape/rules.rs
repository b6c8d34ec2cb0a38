//! What the JSON Schema can say of a value, so that an editor and `helm install` refuse what the
//! connector would refuse at its start. `validate` has the last word, and the reasons.

use serde_json::{Value, json};

/// An http(s) URL with a host, without credentials, `?` and `#`.
pub(super) const URL: &str = r"^\s*https?://[^/?#@\s]+(/[^?#\s]*)?\s*$";

/// `host:port`, several with commas; no schemes.
pub(super) const SERVERS: &str = r"^\s*[^\s,]+:[0-9]{1,5}\s*(,\s*[^\s,]+:[0-9]{1,5}\s*)*$";

/// A duration of days and weeks.
pub(super) const WHOLE_DAYS: &str = r"^\s*(\d+\s*[dw]\s*)+$";

/// At least one of these sections is written, and not as null.
pub(super) fn one_of_the_sections(names: &[&str]) -> Value {
    let written =
        |name: &&str| json!({"required": [name], "properties": {*name: {"type": "object"}}});
    names.iter().map(written).collect()
}

/// Who writes one of two keys writes the other too.
pub(super) fn together(one: &str, other: &str) -> Value {
    json!({one: [other], other: [one]})
}
