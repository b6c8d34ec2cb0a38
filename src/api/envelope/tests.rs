use super::*;

const TRANSACTIONS: Shape = Shape::List(&["transactions", "data"]);
const ACCOUNTS: Shape = Shape::List(&["accounts", "banks", "account", "data"]);

fn rows(body: &str, shape: Shape) -> Result<Vec<&str>, Fault> {
    let found = read_rows(body, shape)?;
    Ok(found
        .spans
        .iter()
        .map(|span| body.get(span.start as usize..span.end as usize).unwrap())
        .collect())
}

fn is_protocol(body: &str, shape: Shape) -> bool {
    matches!(read_rows(body, shape), Err(Fault::Protocol(_)))
}

#[test]
fn rows_are_the_exact_text_of_the_body() {
    let body = "\u{feff}{\"status\":\"success\",\n \"transactions\" : [ {\"id\":1, \"x\":\"Yedi\u{307}\"} ,\n{\"id\": 2,\"d\":-209000.00}\t] }";
    assert_eq!(
        rows(body, TRANSACTIONS).unwrap(),
        ["{\"id\":1, \"x\":\"Yedi\u{307}\"}", "{\"id\": 2,\"d\":-209000.00}"]
    );
}

#[test]
fn success_is_told_in_many_spellings() {
    for envelope in [
        r#""status":"success""#,
        r#""status":"200""#,
        r#""status":200"#,
        r#""status":true"#,
        r#""status":"Approved""#,
        r#""success":"true""#,
        r#""success":true"#,
        r#""status":"success","success":true"#,
        r#""other":1"#,
    ] {
        let body = format!("{{{envelope},\"data\":[]}}");
        assert_eq!(rows(&body, TRANSACTIONS), Ok(vec![]), "{body}");
    }
}

#[test]
fn failure_is_believed_whatever_comes_with_it() {
    for envelope in [
        r#""success":"false""#,
        r#""success":false"#,
        r#""success":0"#,
        r#""status":"error""#,
        r#""status":false"#,
        r#""status":"success","success":false"#,
        r#""status":{}"#,
    ] {
        let body = format!("{{{envelope},\"message\":\"no\",\"data\":[{{\"id\":1}}]}}");
        let refused = Err(Fault::Refused { code: None, message: Some("no".to_owned()) });
        assert_eq!(rows(&body, TRANSACTIONS), refused, "{body}");
    }
}

#[test]
fn accounts_come_under_several_keys_as_list_or_object() {
    let one = vec![r#"{"id":7}"#];
    for body in [
        r#"{"status":"success","banks":[{"id":7}]}"#,
        r#"{"status":"success","accounts":[{"id":7}]}"#,
        r#"{"status":"success","account":[{"id":7}]}"#,
        r#"{"status":"success","account":{"id":7}}"#,
        r#"{"success":true,"data":[{"id":7}]}"#,
    ] {
        assert_eq!(rows(body, ACCOUNTS).as_ref(), Ok(&one), "{body}");
    }
}

#[test]
fn an_object_without_an_id_is_no_account() {
    for body in [
        r#"{"status":"success","accounts":{"message":"later"}}"#,
        r#"{"success":true,"data":{"accounts":null}}"#,
    ] {
        assert!(is_protocol(body, ACCOUNTS), "{body}");
    }
}

#[test]
fn one_thing_is_an_object_or_a_list_of_one_and_an_empty_list_is_none() {
    let single = |body| read_single(body, &["account"]);
    assert_eq!(single(r#"{"account":[{"id":7}]}"#), Ok(Some(r#"{"id":7}"#)));
    assert_eq!(single(r#"{"account":{"id":7}}"#), Ok(Some(r#"{"id":7}"#)));
    assert_eq!(single(r#"{"account":[]}"#), Ok(None));
    assert!(matches!(single(r#"{"account":[{},{}]}"#), Err(Fault::Protocol(_))));
    let one = |body| rows(body, Shape::One(&["account", "data"]));
    for body in [
        r#"{"status":"success","account":[{"id":7}]}"#,
        r#"{"status":"success","account":{"id":7}}"#,
        r#"{"success":true,"data":{"id":7}}"#,
        r#"{"id":7}"#,
    ] {
        assert_eq!(one(body).unwrap(), [r#"{"id":7}"#], "{body}");
    }
    // Without an envelope `status` is the thing's own.
    assert_eq!(one(r#"{"id":7,"status":0}"#).unwrap(), [r#"{"id":7,"status":0}"#]);
    assert_eq!(one(r#"{"status":"success","account":[]}"#).unwrap(), Vec::<&str>::new());
    for refused in [r#"{"success":false,"message":"x"}"#, r#"{"status":"error","account":[]}"#] {
        assert!(matches!(one(refused), Err(Fault::Refused { .. })), "{refused}");
    }
    for wrong in [
        r#"{"status":"success"}"#,
        r#"{"status":"success","account":null}"#,
        r#"{"account":{}}"#,
        r#"{"account":[{"id":1},{"id":2}]}"#,
        "[]",
        r#"[{"id":7}]"#,
    ] {
        assert!(matches!(one(wrong), Err(Fault::Protocol(_))), "{wrong}");
    }
}

#[test]
fn one_more_layer_and_php_maps_are_lists() {
    let one = vec![r#"{"id":7}"#];
    for body in [
        r#"{"success":true,"data":{"data":[{"id":7}]}}"#,
        r#"{"success":true,"data":{"transactions":[{"id":7}]}}"#,
        r#"{"success":true,"data":{"data":[{"id":7}],"last_page":1,"next_page_url":null}}"#,
        r#"{"success":true,"data":{"3":{"id":7}}}"#,
    ] {
        assert_eq!(rows(body, TRANSACTIONS).as_ref(), Ok(&one), "{body}");
    }
    let customers = Shape::List(&["customers", "data"]);
    assert_eq!(rows(r#"[{"id":7}]"#, customers).as_ref(), Ok(&one), "as a source shows it");
}

#[test]
fn a_missing_collection_is_never_no_rows() {
    for body in [
        r#"{"status":"success"}"#,
        r#"{"status":"success","transactions":null}"#,
        r#"{"status":"success","transactions":""}"#,
        r#"{"status":"success","transactions":{}}"#,
        r#"{"status":"success","transactions":{"message":"later"}}"#,
        r#"{"status":"success","transactions":{"id":7}}"#,
        r#"{"status":"success","data":{"transactions":null}}"#,
        r#"{"status":"success","rows":[]}"#,
        "[]",
        r#"[{"id":7}]"#,
        r#""""#,
        "null",
    ] {
        assert!(is_protocol(body, TRANSACTIONS), "{body}");
    }
}

#[test]
fn one_page_of_several_is_not_taken_for_all() {
    for body in [
        r#"{"data":{"data":[{"id":7}],"last_page":2}}"#,
        r#"{"data":[{"id":7}],"meta":{"last_page":"3"}}"#,
        r#"{"data":[{"id":7}],"next_page_url":"x?page=2"}"#,
        r#"{"data":[{"id":7}],"links":{"first":"x","next":"x?page=2"},"meta":{"current_page":1}}"#,
        r#"{"data":[{"id":7}],"links":{"next":{"href":"x?page=2"}}}"#,
        r#"{"data":[{"id":7}],"next_cursor":"eyJpZCI6N30"}"#,
        r#"{"data":[{"id":7}],"has_more":true}"#,
        r#"{"data":[{"id":7}],"meta":{"pagination":{"current_page":1,"total_pages":2}}}"#,
        r#"{"data":{"data":[{"id":7}],"links":{"next":"x?page=2"}}}"#,
    ] {
        assert!(is_protocol(body, TRANSACTIONS), "{body}");
    }
    for body in [
        r#"{"data":[{"id":7}],"links":{"first":"x","next":null},"meta":{"current_page":1}}"#,
        r#"{"data":[{"id":7}],"next_cursor":null,"has_more":false,"next":""}"#,
        r#"{"data":[{"id":7}],"meta":{"links":[{"url":null}],"pagination":{"total_pages":1}}}"#,
    ] {
        assert!(rows(body, TRANSACTIONS).is_ok(), "{body}");
    }
}

/// Of two lists one may be empty, and two empty readings in a row tell deletions.
#[test]
fn a_key_that_means_something_stands_there_once() {
    for body in [
        r#"{"success":true,"data":[],"data":[{"id":7}]}"#,
        r#"{"success":true,"data":[{"id":7}],"success":false}"#,
        r#"{"status":"success","status":"error","data":[{"id":7}]}"#,
    ] {
        assert!(is_protocol(body, TRANSACTIONS), "{body}");
    }
}

#[test]
fn what_is_not_json_is_described_without_being_quoted() {
    let fault = |body| read_rows(body, TRANSACTIONS).unwrap_err();
    let cut = r#"{"status":"success","transactions":[{"id":1},{"canary":"#;
    assert!(matches!(fault(cut), Fault::NotJson { cut_short: true, .. }));
    assert!(matches!(fault(""), Fault::NotJson { cut_short: true, .. }));
    let html = "<!doctype html><title>canary</title>";
    assert!(matches!(fault(html), Fault::NotJson { cut_short: false, .. }));
    let comma = r#"{"transactions":[{"canary":1,}]}"#;
    let Fault::NotJson { detail, cut_short: false } = fault(comma) else { panic!() };
    assert!(detail.contains("line 1") && !detail.contains("canary"), "{detail}");
}

#[test]
fn more_rows_than_the_limit_are_refused() {
    let body = format!("{{\"data\":[{}0]}}", "0,".repeat(ROWS_MAX));
    assert_eq!(read_rows(&body, TRANSACTIONS), Err(Fault::TooManyRows));
}

#[test]
fn validation_errors_name_their_fields() {
    let body =
        r#"{"message":"The given data was invalid.","errors":{"beginDate":["x"],"endDate":[]}}"#;
    assert_eq!(
        message_of(&parse_fields(body).unwrap()).unwrap(),
        "The given data was invalid. (beginDate, endDate)"
    );
}

fn tos(flag: &str, result: &str) -> String {
    format!(
        r#"{{"Header":{{"StatusCode":"APIGW000000","ObjectID":"b6d2"}},"Data":{{"ListQueryResult":{{"Result":{flag}}}{result}}}}}"#
    )
}

#[test]
fn tos_rows_come_as_object_list_or_empty_text() {
    for (result, expected) in [
        (r#","Result":{"Result":true,"A":1}"#, vec![r#"{"Result":true,"A":1}"#]),
        (r#","Result":[{"A":1},{"A":2}]"#, vec![r#"{"A":1}"#, r#"{"A":2}"#]),
        (r#","Result":"""#, vec![]),
        (r#","Result":[]"#, vec![]),
    ] {
        let body = tos(r#""true""#, result);
        assert_eq!(rows(&body, Shape::Tos).unwrap(), expected);
        let id = read_rows(&body, Shape::Tos).unwrap().gateway_object_id;
        assert_eq!(id.as_deref(), Some("b6d2"));
    }
}

#[test]
fn tos_without_a_result_is_an_error() {
    for result in ["", r#","Result":null"#, r#","Result":{}"#, r#","Result":3"#] {
        assert!(is_protocol(&tos("true", result), Shape::Tos), "{result}");
    }
    assert!(is_protocol(r#"{"Header":{"StatusCode":"APIGW000000"}}"#, Shape::Tos));
    assert!(is_protocol("[]", Shape::Tos));
}

#[test]
fn tos_with_a_null_result_is_an_error_that_says_so() {
    let flagged = tos(r#""true""#, r#","Result":null"#);
    let bare = r#"{"Header":{"StatusCode":"APIGW000000"},"Data":{"Result":null}}"#;
    for (body, said) in [(&*flagged, "ListQueryResult says true"), (bare, "nothing says why")] {
        let expected = format!("Data.Result is null, and {said}");
        assert_eq!(read_rows(body, Shape::Tos), Err(Fault::Protocol(expected)));
    }
}

#[test]
fn tos_refusals_are_told_by_header_and_flag() {
    for body in [
        tos("false", r#","Result":[]"#),
        tos(r#""False""#, ""),
        r#"{"Header":{"StatusCode":"ACBH000645","StatusDescription":"x"},"Data":{"Result":[]}}"#
            .into(),
        r#"{"Status":{"Code":"ACBG000007"}}"#.into(),
    ] {
        assert!(matches!(read_rows(&body, Shape::Tos), Err(Fault::Refused { .. })), "{body}");
    }
}

#[test]
fn tos_no_movements_is_empty() {
    for body in [
        r#"{"Header":{"StatusCode":"ACBH000202","StatusDescription":"x"}}"#.to_owned(),
        r#"{"Header":{"StatusCode":"APIGW000000"},"Data":{"ListQueryResult":{"Result":"false","ErrorCode":"ACBH000202"}}}"#.to_owned(),
    ] {
        assert_eq!(rows(&body, Shape::Tos), Ok(vec![]), "{body}");
    }
}
