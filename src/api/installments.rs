//! Instalment options come as maps of maps, maps of lists, or lists of banks; here they become
//! rows. Pure.

use serde_json::value::RawValue;

use super::envelope::{Fault, ROWS_MAX, collection, parse_fields, parse_list};

/// One JSON text an option: its own fields, with `family` and `bank_slug` put before them.
pub(crate) fn flatten(body: &str) -> Result<Vec<String>, Fault> {
    let value = collection(body, &["data", "pos_banks"])?;
    let mut rows = Vec::new();
    if let Some(families) = parse_fields(value.get()) {
        if let Some(banks) = families.get("pos_banks").and_then(|banks| parse_list(banks.get())) {
            flatten_banks(&banks, &mut rows)?;
            return Ok(rows);
        }
        for (family, options) in &families.0 {
            let family = serde_json::to_string(family).unwrap_or_default();
            flatten_options(options, &[("family", &family)], &mut rows)?;
        }
        return Ok(rows);
    }
    match parse_list(value.get()) {
        Some(banks) => flatten_banks(&banks, &mut rows)?,
        None => return Err(wrong("the collection is neither list nor object")),
    }
    Ok(rows)
}

fn flatten_banks(banks: &[&RawValue], rows: &mut Vec<String>) -> Result<(), Fault> {
    for bank in banks {
        let Some(fields) = parse_fields(bank.get()) else {
            return Err(wrong("a bank is no object"));
        };
        let options = fields.get("installment").or_else(|| fields.get("installments"));
        let Some(options) = options else {
            return Err(wrong("a bank has no installment list"));
        };
        let family = fields.get("family").map_or("null", RawValue::get);
        let slug = fields.get("bank_name").map_or("null", RawValue::get);
        flatten_options(options, &[("family", family), ("bank_slug", slug)], rows)?;
    }
    Ok(())
}

/// Options as a list, or as a map keyed by the number of instalments.
fn flatten_options(
    options: &RawValue,
    added: &[(&str, &str)],
    rows: &mut Vec<String>,
) -> Result<(), Fault> {
    let options: Vec<&RawValue> = match (parse_list(options.get()), parse_fields(options.get())) {
        (Some(list), _) => list,
        (None, Some(map)) => map.0.into_iter().map(|(_, option)| option).collect(),
        (None, None) => return Err(wrong("the options of a family are neither list nor object")),
    };
    for option in options {
        let Some(fields) = parse_fields(option.get()) else {
            return Err(wrong("an option is no object"));
        };
        if rows.len() == ROWS_MAX {
            return Err(Fault::TooManyRows);
        }
        let mut row = String::with_capacity(option.get().len() + 64);
        row.push('{');
        for (name, json) in added.iter().filter(|(name, _)| fields.get(name).is_none()) {
            row.push_str(&format!("\"{name}\":{json},"));
        }
        let own = option.get().strip_prefix('{').unwrap_or_default();
        if fields.0.is_empty() {
            row.truncate(row.trim_end_matches(',').len());
        }
        row.push_str(own);
        rows.push(row);
    }
    Ok(())
}

fn wrong(detail: &str) -> Fault {
    Fault::Protocol(detail.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seen_shape_becomes_flat_rows() {
        let empty: Vec<String> = Vec::new();
        assert_eq!(flatten(r#"{"data":[]}"#), Ok(empty));
        assert_eq!(
            flatten(r#"{"data":{"Axess":[{"pos_id":1,"block_rate":12}]}}"#),
            Ok(vec![r#"{"family":"Axess","pos_id":1,"block_rate":12}"#.to_owned()])
        );
        assert_eq!(
            flatten(
                r#"{"data":{"Miles&Smiles":{"1":{"pos_id":3,"block_rate":"12.0000"},"2":{"pos_id":4}}}}"#
            ),
            Ok(vec![
                r#"{"family":"Miles&Smiles","pos_id":3,"block_rate":"12.0000"}"#.to_owned(),
                r#"{"family":"Miles&Smiles","pos_id":4}"#.to_owned(),
            ])
        );
        assert_eq!(
            flatten(
                r#"{"pos_banks":[{"bank_name":"akbank","family":"Axess","installment":[{"installment":2,"status":"true","rate":0}]}]}"#
            ),
            Ok(vec![
                r#"{"family":"Axess","bank_slug":"akbank","installment":2,"status":"true","rate":0}"#
                    .to_owned()
            ])
        );
    }

    #[test]
    fn fields_of_the_option_itself_win() {
        assert_eq!(
            flatten(r#"{"data":{"Axess":[{"family":"Own"}, {}]}}"#),
            Ok(vec![r#"{"family":"Own"}"#.to_owned(), r#"{"family":"Axess"}"#.to_owned()])
        );
    }

    #[test]
    fn shapes_that_were_never_seen_are_refused() {
        for body in [
            r#"{"success":true}"#,
            r#"{"data":"x"}"#,
            r#"{"data":{"Axess":3}}"#,
            r#"{"data":{"Axess":[3]}}"#,
            r#"{"pos_banks":[{"bank_name":"akbank"}]}"#,
        ] {
            assert!(matches!(flatten(body), Err(Fault::Protocol(_))), "{body}");
        }
        assert!(matches!(flatten(r#"{"success":false,"data":[]}"#), Err(Fault::Refused { .. })));
    }
}
