//! What the JSON Schema can say of a value, so that an editor and `helm install` refuse what the
//! connector would refuse at its start. `validate` has the last word, and the reasons.

use serde_json::{Value, json};

/// An http(s) URL with a host, without credentials, `?` and `#`.
pub(super) const URL: &str = r"^\s*https?://[^/?#@\s]+(/[^?#\s]*)?\s*$";

/// `host:port`, several with commas; no logins.
pub(super) const SERVERS: &str = r"^\s*[^\s,@]+:[0-9]{1,5}\s*(,\s*[^\s,@]+:[0-9]{1,5}\s*)*$";

/// Seen rows of the whole look-back are kept in memory and in the state topic.
pub(crate) const LOOKBACK_DAYS_MAX: u32 = 60;

/// Ten years; a typing error should not ask a bank for centuries.
pub(crate) const START_DAYS_MAX: u32 = 3660;

/// 1 to [`LOOKBACK_DAYS_MAX`] days, in days, weeks, or weeks and days.
pub(super) const LOOKBACK: &str =
    r"^\s*0*(([1-9]|[1-5]\d|60)\s*d|[1-8]\s*w|([1-7]\s*w\s*[0-6]|8\s*w\s*[0-4])\s*d)\s*$";

/// 0 to [`START_DAYS_MAX`] days, likewise.
pub(super) const START: &str = r"^\s*0*((\d{1,3}|[12]\d{3}|3[0-5]\d{2}|36[0-5]\d|3660)\s*d|(\d{1,2}|[1-4]\d{2}|5[01]\d|52[0-2])\s*w(\s*[0-6]\s*d)?)\s*$";

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
