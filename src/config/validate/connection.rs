//! Credentials, quota and identity of one connection.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use super::{Review, streams::streams};
use crate::{
    config::{model, shape, tree::Step},
    domain::ids::{ConnectionId, InvalidId},
};

/// Validates all connections; an id stands once.
pub(crate) fn connections(
    review: &mut Review<'_>,
    shapes: &[shape::Connection],
) -> Vec<Arc<model::Connection>> {
    if shapes.is_empty() {
        review.refuse(&[Step::Key("connections")], "no connection; write at least one");
    }
    let mut seen = HashSet::new();
    let mut connections = Vec::new();
    for (index, shape) in shapes.iter().enumerate() {
        let path = [Step::Key("connections"), Step::Index(index)];
        if !seen.insert(shape.id.as_str()) {
            let path = [&path[..], &[Step::Key("id")]].concat();
            review.refuse(&path, format!("the id {:?} stands twice; ids are unique", shape.id));
        }
        connections.extend(connection(review, &path, shape).map(Arc::new));
    }
    connections
}

fn connection(
    review: &mut Review<'_>,
    path: &[Step<'_>],
    shape: &shape::Connection,
) -> Option<model::Connection> {
    let below = |key: &'static str| [path, &[Step::Key(key)]].concat();
    if shape.bank_pos.is_none() && shape.virtual_pos.is_none() && shape.tos.is_none() {
        review.refuse(path, "no API to poll; write bank_pos, virtual_pos or tos");
    }
    let bank_pos = shape.bank_pos.as_ref();
    let bank_pos = bank_pos.map(|api| vomsis_api(review, &below("bank_pos"), api));
    let virtual_pos = shape.virtual_pos.as_ref();
    let virtual_pos = virtual_pos.map(|api| vomsis_api(review, &below("virtual_pos"), api));
    let tos = shape.tos.as_ref().map(|api| tos_api(review, &below("tos"), api));
    let streams = streams(review, &below("streams"), &shape.streams);
    if streams.tos_payments.is_some() && tos.as_ref().is_some_and(|t| t.institutions.is_empty()) {
        let path = [&below("tos")[..], &[Step::Key("institutions")]].concat();
        review.refuse(&path, "no institution to ask for; write [{code: \"0006624\"}]");
    }
    let timeouts = below("timeouts");
    let timeouts = model::Timeouts {
        connect: review
            .above_zero(&[&timeouts[..], &[Step::Key("connect")]].concat(), shape.timeouts.connect),
        request: review
            .above_zero(&[&timeouts[..], &[Step::Key("request")]].concat(), shape.timeouts.request),
    };
    let quota = quota(review, &below("quota"), &shape.quota);
    let id = match ConnectionId::try_new(&shape.id) {
        Ok(id) => id,
        Err(_) => {
            review.refuse(&below("id"), format!("write {}", InvalidId::RULE));
            return None;
        }
    };
    let extras = shape.extras;
    Some(model::Connection { id, bank_pos, virtual_pos, tos, timeouts, extras, quota, streams })
}

fn vomsis_api(
    review: &mut Review<'_>,
    path: &[Step<'_>],
    shape: &shape::VomsisApi,
) -> model::VomsisApi {
    let below = |key: &'static str| [path, &[Step::Key(key)]].concat();
    let base_url = shape.base_url.as_deref().unwrap_or_default();
    let base_url = review.api_url(&below("base_url"), base_url);
    let mut file = |key: &'static str, file: Option<&PathBuf>| {
        file.cloned().unwrap_or_else(|| {
            review.refuse(path, format!("{key} is missing; write the path of the file"));
            PathBuf::new()
        })
    };
    model::VomsisApi {
        base_url,
        app_key_file: file("app_key_file", shape.app_key_file.as_ref()),
        app_secret_file: file("app_secret_file", shape.app_secret_file.as_ref()),
    }
}

fn tos_api(review: &mut Review<'_>, path: &[Step<'_>], shape: &shape::TosApi) -> model::TosApi {
    let below = |key: &'static str| [path, &[Step::Key(key)]].concat();
    let base_url = review.api_url(&below("base_url"), &shape.base_url);
    if base_url.ends_with("/tos/query") {
        review.refuse(&below("base_url"), "write all before /tos/query");
    }
    let token_url = review.api_url(&below("token_url"), &shape.token_url);
    if shape.consent_id.trim().is_empty() {
        review.refuse(&below("consent_id"), "empty; write the consent number (Rıza No)");
    }
    if !matches!(shape.resource.as_str(), "production" | "sandbox") {
        review.refuse(&below("resource"), "write production or sandbox");
    }
    let mut codes = HashSet::new();
    for (index, institution) in shape.institutions.iter().enumerate() {
        let path = [&below("institutions")[..], &[Step::Index(index), Step::Key("code")]].concat();
        let code = institution.code.as_str();
        if code.is_empty() || !code.chars().all(|c| c.is_ascii_alphanumeric()) {
            review.refuse(&path, "write the institution code, such as \"0006624\"");
        } else if !codes.insert(code.trim_start_matches('0')) {
            // As rows that name it are compared: with or without its leading zeros it is one.
            review.refuse(
                &path,
                "the code stands twice, leading zeros aside; put its accounts in one entry",
            );
        }
    }
    let institution = |shape: &shape::Institution| model::Institution {
        code: shape.code.clone(),
        sender_accounts: shape.sender_accounts.clone(),
    };
    model::TosApi {
        base_url,
        token_url,
        client_id_file: shape.client_id_file.clone(),
        client_secret_file: shape.client_secret_file.clone(),
        consent_id: shape.consent_id.clone(),
        resource: shape.resource.clone(),
        institutions: shape.institutions.iter().map(institution).collect(),
    }
}

fn quota(review: &mut Review<'_>, path: &[Step<'_>], shape: &shape::Quota) -> model::Quota {
    let below = |key: &'static str| [path, &[Step::Key(key)]].concat();
    let requests = review.at_least_one(&below("requests_per_minute"), shape.requests_per_minute);
    let concurrency = review.at_least_one(&below("concurrency"), shape.concurrency);
    let reserved = shape.reserved_for_payments;
    if requests > 0 && reserved >= requests {
        review.refuse(
            &below("reserved_for_payments"),
            format!("nothing is left for polling; write less than {requests}"),
        );
    }
    model::Quota {
        requests_per_minute: requests,
        concurrency: usize::try_from(concurrency).unwrap_or(usize::MAX),
        reserved_for_payments: reserved,
    }
}
